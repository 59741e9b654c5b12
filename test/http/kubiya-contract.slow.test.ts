import t, { type Test } from 'tap'
import { startSandbox } from '../../src/sandbox/sandbox.ts'
import { kubiyaApiContract, type KubiyaApi } from '../contracts/kubiya-api.ts'
import { startService } from '../support/support.ts'

// The same requests and answers, so that the stand-in cannot drift from what this service claims about Kubiya.

function reader (url: string, authorization: string): KubiyaApi['get'] {
  return async (path) => {
    const response = await fetch(`${url}${path}`, { headers: { authorization } })
    return { status: response.status, body: await response.json() }
  }
}

async function openSandbox (t: Test): Promise<KubiyaApi> {
  const sandbox = await startSandbox()
  t.teardown(() => sandbox.close())
  return { get: reader(sandbox.url, `UserKey ${sandbox.apiKey}`), publish: (items) => sandbox.publish(items) }
}

async function openService (t: Test): Promise<KubiyaApi> {
  const service = await startService(t, { CACHE_OPEN_TTL_MS: '0' }) // Each answer shows what was just published.
  return { get: reader(service.url, 'UserKey anything'), publish: (items) => service.sandbox.publish(items) }
}

t.test("the sandbox speaks Kubiya's API", async (t) => {
  kubiyaApiContract(t, openSandbox, {
    alwaysHasIds: false,
    appliesSearch: false,
    isStrict: false,
    readsDates: false,
    readsBothSessionKeys: false
  })
})

t.test("the service speaks Kubiya's API", async (t) => {
  kubiyaApiContract(t, openService, {
    alwaysHasIds: true,
    appliesSearch: true,
    isStrict: true,
    readsDates: true,
    readsBothSessionKeys: true
  })
})
