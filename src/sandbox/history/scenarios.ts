import {
  AGENTS, ALERTS, CLOSINGS, EMAILS, EXAMPLE_AGENT, EXAMPLE_SESSION, FAILURES, HOOKS_EMAIL, REFUSALS, WORKFLOWS
} from './fixtures.ts'
import {
  authentication, generated, invoked, teammateMessage, toolCall, toolExecuted, toolFailed, triggerLost, triggerPassedOn,
  triggerReceived, userMessage, workflowStarted, workflowStep, type Draft, type Session
} from './event-templates.ts'
import type { Random } from './random.ts'
import { drawTask } from './tasks.ts'

/** Related events, in the order in which they happen. */
export type Scene = Draft[]

/** A user talks with an agent. */
export function conversation (random: Random): Scene {
  return talk(random, { id: random.uuid(), email: random.pick(EMAILS), agent: random.pick(AGENTS) })
}

/** A conversation in the session, and with the agent, of the documentation's examples. */
export function exampleConversation (random: Random): Scene {
  return talk(random, { id: EXAMPLE_SESSION, email: EMAILS[0], agent: EXAMPLE_AGENT })
}

/** A conversation with the agent of the documentation's examples. */
export function exampleAgentConversation (random: Random): Scene {
  return talk(random, { id: random.uuid(), email: random.pick(EMAILS), agent: EXAMPLE_AGENT })
}

/** A trigger starts an agent, which calls several tools at once. */
export function alert (random: Random): Scene {
  const session = { id: `wh-${random.hex(10)}`, email: HOOKS_EMAIL, agent: random.pick(AGENTS) }
  const name = random.pick(ALERTS)
  const probes = Array.from({ length: random.integer(3, 8) }, (_, place) =>
    ({ ...toolExecuted(session, drawTask(random), true, random), quick: place > 0 }))
  const content = `${name}: ${random.pick(CLOSINGS)}`
  return [
    triggerReceived(session, name, random),
    triggerPassedOn(session, name),
    invoked(session),
    teammateMessage(session, `end=False start=True type='msg' content="Looking into ${name}"`),
    ...probes,
    generated(session.email, true, { content, session_id: session.id }),
    teammateMessage(session, random.pick(CLOSINGS))
  ]
}

/** A trigger without a reaction. */
export function lostTrigger (random: Random): Scene {
  return [triggerLost(random.pick(ALERTS), `r-${random.hex(6)}`)]
}

/** A workflow runs its steps. Sometimes it fails after the last one. */
export function workflow (random: Random): Scene {
  const email = random.pick(EMAILS)
  const name = random.pick(WORKFLOWS)
  const extra = { session_id: `wf-${random.hex(10)}`, workflow: name }
  const steps = Array.from({ length: random.integer(2, 5) }, (_, place) =>
    workflowStep(email, drawTask(random).tool, { ...extra, result: { step: place + 1, status: 'done' } }))
  const failed = random.chance(0.15)
  const content = failed ? `${name} stopped: ${random.pick(FAILURES)}` : `${name} finished ✅`
  return [workflowStarted(email, name, extra), ...steps, generated(email, !failed, { ...extra, content })]
}

export function signIn (random: Random): Scene {
  return [authentication(random, true, 'authentication succeeded')]
}

export function refusedSignIn (random: Random): Scene {
  return [authentication(random, false, random.pick(REFUSALS))]
}

/** A tool times out, and the agent reports it. */
export function mishap (random: Random): Scene {
  const session = { id: random.uuid(), email: random.pick(EMAILS), agent: random.pick(AGENTS) }
  const task = drawTask(random)
  return [
    userMessage(session, task.ask),
    toolFailed(session, task, FAILURES[0]),
    teammateMessage(session, `I could not finish: ${FAILURES[0]}`)
  ]
}

function talk (random: Random, session: Session): Scene {
  const turns = Array.from({ length: random.integer(1, 3) }, () => turn(random, session))
  return [invoked(session), ...turns.flat()]
}

function turn (random: Random, session: Session): Scene {
  const task = drawTask(random)
  const failed = random.chance(0.12)
  const reply = failed ? 'That failed, shall I try again?' : `${task.answer} ${random.pick(CLOSINGS)}`
  return [
    userMessage(session, task.ask),
    toolCall(session, task),
    toolExecuted(session, task, !failed, random),
    ...(failed ? [toolFailed(session, task, random.pick(FAILURES))] : []),
    teammateMessage(session, reply)
  ]
}
