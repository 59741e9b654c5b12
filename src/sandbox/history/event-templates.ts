import { EMAILS, ORG, type Agent } from './fixtures.ts'
import type { Item } from './entry.ts'
import type { Random } from './random.ts'
import type { Task } from './tasks.ts'

/** One event of a scene, before it has an instant. */
export interface Draft {
  fields: Item
  /** Follows the one before at once, as parallel calls do. */
  quick: boolean
}

/** Who talks with which agent. */
export interface Session {
  id: string
  email: string
  agent: Agent
}

const DEFAULTS: Item = {
  org: ORG,
  email: '',
  version: 1,
  category_type: '',
  category_name: '',
  resource_type: '',
  resource_text: '',
  action_type: '',
  action_successful: true,
  timestamp: '',
  extra: {},
  scope: 'org'
}

export function invoked (session: Session): Draft {
  return ofAgent(session, {
    resource_type: 'agent', resource_text: session.agent.name, action_type: 'invoke', extra: teammate(session)
  })
}

export function userMessage (session: Session, text: string): Draft {
  return message(session, text, { session_id: session.id, is_user_message: true })
}

export function teammateMessage (session: Session, text: string): Draft {
  return message(session, text, { ...teammate(session), is_user_message: false })
}

/** The agent's message that calls a tool, in the form in which such messages are logged. */
export function toolCall (session: Session, { tool, args }: Task): Draft {
  const call = `name='${tool}' arguments='${JSON.stringify(args)}'`
  return teammateMessage(session, `end=False start=False type='tool' ${call}`)
}

export function toolExecuted (session: Session, task: Task, successful: boolean, random: Random): Draft {
  // Arguments are met as an object and as its text.
  const args = random.chance(0.3) ? JSON.stringify(task.args) : task.args
  const status = successful ? 'completed' : 'failed'
  return ofAgent(session, {
    resource_type: 'Tool Execution',
    resource_text: successful ? task.output : '',
    action_type: 'executed',
    action_successful: successful,
    extra: { session_id: session.id, tool_name: task.tool, tool_args: args, tool_execution_status: status }
  })
}

export function toolFailed (session: Session, { tool, args }: Task, text: string): Draft {
  return ofAgent(session, {
    resource_type: 'Tool Execution',
    resource_text: `end=True start=False type='tool_output' tool_name='${tool}' content='${text}'`,
    action_type: 'output',
    action_successful: false,
    extra: { session_id: session.id, tool_name: tool, tool_args: args, tool_execution_status: 'failed' }
  })
}

export function triggerReceived ({ id, email }: Session, name: string, random: Random): Draft {
  const payload = { severity: random.pick(['critical', 'warning', 'info']), value: random.integer(1, 100) }
  return draft({
    email,
    category_type: 'triggers',
    category_name: 'webhook',
    resource_type: 'Webhook',
    resource_text: name,
    action_type: 'received',
    extra: { session_id: id, event_type: 'alert', payload }
  })
}

export function triggerPassedOn ({ id, email, agent }: Session, name: string): Draft {
  return draft({
    email,
    category_type: 'webhook',
    category_name: agent.name,
    resource_type: 'webhook',
    resource_text: `webhook ${name}`,
    action_type: 'triggered',
    extra: { session_id: id, teammate_name: agent.name }
  })
}

export function triggerLost (name: string, requestId: string): Draft {
  return draft({
    category_type: 'webhook',
    resource_type: 'webhook',
    resource_text: `webhook ${name}`,
    action_type: 'triggered',
    action_successful: false,
    extra: { requestId, error: 'no teammate selected' },
    scope: ''
  })
}

export function workflowStarted (email: string, name: string, extra: Item): Draft {
  return draft({
    email,
    category_type: 'workflows',
    category_name: name,
    resource_type: 'workflow',
    resource_text: name,
    action_type: 'execute',
    extra
  })
}

export function workflowStep (email: string, tool: string, extra: Item): Draft {
  return draft({
    email,
    category_type: 'tool_execution',
    resource_type: 'Tool Execution',
    resource_text: tool,
    action_type: 'executed',
    extra
  })
}

export function generated (email: string, successful: boolean, extra: Item): Draft {
  return draft({ email, category_type: 'ai', action_type: 'output', action_successful: successful, extra })
}

export function authentication (random: Random, successful: boolean, text: string): Draft {
  return draft({
    email: random.pick(EMAILS),
    category_type: 'users',
    resource_type: 'Security',
    resource_text: text,
    action_type: 'authentication',
    action_successful: successful,
    extra: { method: random.pick(['password', 'sso']), ip: `203.0.113.${random.integer(1, 254)}` }
  })
}

function message (session: Session, text: string, extra: Item): Draft {
  return ofAgent(session, { resource_type: 'Message', resource_text: text, action_type: 'sent', extra })
}

function ofAgent ({ email, agent }: Session, fields: Item): Draft {
  return draft({ email, category_type: 'agents', category_name: agent.name, ...fields })
}

function teammate ({ id, agent }: Session): Item {
  return { session_id: id, teammate_id: agent.id, teammate_name: agent.name }
}

function draft (fields: Item): Draft {
  return { fields: { ...DEFAULTS, ...fields }, quick: false }
}
