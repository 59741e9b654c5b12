import t from 'tap'
import { slowReaderContract } from '../contracts/stream.ts'
import { overEvents, overWebSocket } from '../support/transports.ts'

slowReaderContract(t, 'a WebSocket', overWebSocket)
slowReaderContract(t, 'an event stream', overEvents)
