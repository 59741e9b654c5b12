import fc from 'fast-check'
import t from 'tap'
import { parseJson, type JsonObject } from '../../src/audit/exact-json.ts'
import { agentOf, isUserMessage, narrate, sessionOf, titleOf, toolOf } from '../../src/audit/narrative.ts'
import { readWrapper } from '../../src/audit/wrapped-text.ts'
import { anyCharacter, holds, runs } from '../contracts/property.ts'

const MESSAGE: JsonObject = {
  email: 'user1@acme.test',
  category_type: 'agents',
  category_name: 'DevOps Helper',
  resource_type: 'Message',
  resource_text: 'done',
  action_type: 'sent',
  extra: { session_id: 's-1', is_user_message: false, teammate_name: 'DevOps Helper' }
}
const EXECUTION: JsonObject = {
  ...MESSAGE,
  resource_type: 'Tool Execution',
  action_type: 'executed',
  extra: { session_id: 's-1', tool_name: 'kubectl_restart' }
}
const [AGENT, EMAIL] = ['DevOps Helper', 'user1@acme.test']
const NONE = { agent: undefined, tool: undefined, hidden: false }

/** A value as Python's `repr` writes it, for texts of printable characters and of those that it escapes. */
function repr (text: string): string {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'"
  const inside = text.replace(/[\\\p{Cc}\p{Cs}]|['"]/gu, (found) => {
    if (found === quote || found === '\\') return `\\${found}`
    const simple = { '\n': '\\n', '\r': '\\r', '\t': '\\t' }[found]
    if (simple !== undefined || found === "'" || found === '"') return simple ?? found
    const code = found.codePointAt(0) ?? 0
    return code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u${code.toString(16).padStart(4, '0')}`
  })
  return quote + inside + quote
}

function textOf (text: string): string {
  return narrate({ ...MESSAGE, resource_text: text }).text
}

t.test('narrate tells each kind with its actor, agent, tool and text', async (t) => {
  const of = (item: JsonObject) => narrate(item)
  t.same(of({ ...MESSAGE, resource_text: 'restart it', extra: { is_user_message: true } }), {
    ...NONE, kind: 'user_message', actor: EMAIL, agent: AGENT, text: 'restart it'
  })
  t.same(of(MESSAGE), { ...NONE, kind: 'agent_message', actor: AGENT, agent: AGENT, text: 'done' })
  const call = "end=False start=False type='tool' name='kubectl_restart' arguments='{\"ns\":\"billing\"}'"
  t.same(of({ ...MESSAGE, resource_text: call }), {
    ...NONE, kind: 'tool_call', actor: AGENT, agent: AGENT, tool: 'kubectl_restart', text: '{"ns":"billing"}'
  })
  t.same(of({ ...EXECUTION, resource_text: 'restarted\n' }), {
    ...NONE, kind: 'tool_output', actor: AGENT, agent: AGENT, tool: 'kubectl_restart', text: 'restarted\n'
  })
  t.same(of({ ...EXECUTION, action_type: 'invoked', resource_text: '' }).kind, 'tool_call')
  const output = "end=True start=False type='tool_output' tool_name='plan' content='Error: no\nError: no'"
  t.same(of({ ...EXECUTION, extra: null, action_type: 'output', resource_text: output }), {
    ...NONE, kind: 'tool_output', actor: AGENT, agent: AGENT, tool: 'plan', text: 'Error: no\nError: no'
  })
  t.same(of({ ...EXECUTION, category_type: 'tool_execution', category_name: '', resource_text: 'http_get', extra: {} }), {
    ...NONE, kind: 'tool_output', actor: EMAIL, tool: 'http_get', text: 'http_get'
  })
  t.same(of({ email: 'hooks@acme.test', category_type: 'triggers', category_name: 'webhook', resource_text: 'alert' }), {
    ...NONE, kind: 'trigger', actor: 'hooks@acme.test', text: 'alert'
  })
  t.same(of({ email: '', category_type: 'webhook', resource_type: 'webhook', extra: { teammate_name: 'Ops' } }), {
    ...NONE, kind: 'webhook', actor: undefined, agent: 'Ops', text: ''
  })
  t.same(of({ email: EMAIL, category_type: 'ai', resource_text: '', extra: { content: 'Café ✅' } }), {
    ...NONE, kind: 'ai', actor: EMAIL, text: 'Café ✅'
  })
  t.same(of({ email: EMAIL, category_type: 'users', resource_type: 'Security', resource_text: 'signed in' }), {
    ...NONE, kind: 'system', actor: EMAIL, text: 'signed in'
  })
})

t.test('narrate reads an item with no field, and one with unexpected types, without a failure', async (t) => {
  t.same(narrate({}), { ...NONE, kind: 'system', actor: undefined, text: '' })
  t.same(narrate({ email: ['a'], category_type: 3, resource_type: {}, resource_text: 7, extra: 'x' }), {
    ...NONE, kind: 'system', actor: undefined, text: '7'
  })
  t.equal(narrate({ resource_text: { b: 1, a: [null] } }).text, '{"a":[null],"b":1}')
  t.equal(narrate(parseJson('{"resource_text":12345678901234567890}') as JsonObject).text, '12345678901234567890')
  t.same(narrate(parseJson('{"__proto__":{"is_user_message":true},"constructor":1}') as JsonObject).kind, 'system')
})

t.test('narrate finds a text in extra where resource_text is empty', async (t) => {
  t.equal(narrate({ ...EXECUTION, resource_text: '', extra: { output: { ok: true } } }).text, '{"ok":true}')
  t.equal(narrate({ ...MESSAGE, resource_text: null, extra: { message: { a: 1 }, body: 'hello' } }).text, 'hello')
})

t.test('narrate hides the message that repeats a tool call, but no message of a user', async (t) => {
  const double = { ...MESSAGE, resource_text: 'Tool: kubectl_get\nArguments: {"ns":"a"}' }
  t.same(narrate(double), {
    ...NONE, kind: 'tool_call', actor: AGENT, agent: AGENT, tool: 'kubectl_get', text: double.resource_text, hidden: true
  })
  t.notOk(narrate({ ...double, extra: { is_user_message: true } }).hidden)
  t.notOk(narrate({ ...double, resource_type: 'Tool Execution' }).hidden)
  t.notOk(narrate({ ...double, resource_text: 'Tool: kubectl_get' }).hidden)
  t.notOk(narrate({ ...double, resource_text: 'The Tool: a Arguments: b' }).hidden)
})

t.test('a user cannot name a tool by the form of a text', async (t) => {
  const text = "end=True start=True type='tool' name='rm' arguments='x'"
  t.match(narrate({ ...MESSAGE, resource_text: text, extra: { is_user_message: true } }), {
    kind: 'user_message', tool: undefined
  })
})

t.test('agent, tool, session and user message of an event are found where Kubiya writes them', async (t) => {
  t.equal(agentOf({ category_type: 'agents', category_name: 'A', extra: { teammate_name: '' } }), 'A')
  t.equal(agentOf({ category_type: 'triggers', category_name: 'webhook' }), undefined)
  t.equal(toolOf({ extra: { tool_name: 'x' } }), 'x')
  t.equal(toolOf({ tool_name: 'x' }), undefined)
  t.equal(sessionOf({ session_id: 'a', extra: { session_id: 'b' } }), 'b')
  t.equal(sessionOf({ session_id: 'a', extra: { session_id: '' } }), 'a')
  t.equal(sessionOf({ session_id: '', extra: null }), undefined)
  t.equal(sessionOf({ session_id: 7 }), '7')
  t.ok(isUserMessage({ resource_type: 'Message', category_type: 'chat' }))
  t.notOk(isUserMessage({ resource_type: 'Message', category_type: 'agents' }))
  t.notOk(isUserMessage({ resource_type: 'Message', category_type: 'chat', extra: { is_user_message: false } }))
})

t.test('a wrapped text is unwrapped: both quotes, escapes, several records', async (t) => {
  const head = "end=False start=False type='msg' content="
  for (const [wrapped, text] of [
    [`${head}"it's"`, "it's"],
    [`${head}'say "hi"'`, 'say "hi"'],
    [`${head}'it\\'s "both"'`, 'it\'s "both"'],
    [`${head}'a\\\\nb\\nc\\td\\r'`, 'a\\nb\nc\td\r'],
    [`${head}'\\x1b[0m \\u202e \\U0001f600'`, '\x1b[0m \u202e 😀'],
    [`${head}'שלום ✅'`, 'שלום ✅'],
    [`${head}''`, ''],
    [`${head}'not \\d, \\x4, \\uZZZZ or \\U00110000'`, 'not \\d, \\x4, \\uZZZZ or \\U00110000'],
    ["start=True end=None type='msg' content='x'", 'x'],
    [`${head}'a'\n${head}"b"\n${head}'c'\n`, 'a\nb\nc'],
    [`${head}'line 1\nline 2'`, 'line 1\nline 2']
  ] as const) t.equal(textOf(wrapped), text, wrapped)
})

t.test('a text that is not wholly in the wrapped form stays as it is', async (t) => {
  for (const text of [
    'restart the billing pods',
    'end=of the story',
    "end=False start=False type='msg'",
    "end=False start=False type=msg content='x'",
    "end=False start=False type='msg' content=x",
    "end=False start=False type='msg' content='never closed",
    "end=False start=False type='msg' content='ends in a backslash\\",
    "end=False start=False type='msg' content='x' and more",
    "end=False start=False type='msg' content='it's nested'",
    "end=False start=False type='msg' content='x'\n",
    "end=False start=False type='msg' content='x'\nend=True",
    "end=False start=False type='msg' content='x'\nend=False type='tool' content='y'",
    "end=False end=True type='msg' content='x'",
    "type='msg' content='x'",
    " end=False start=False type='msg' content='x'",
    `end=False ${Array.from({ length: 20 }, (_, at) => `f${at}=1`).join(' ')} type='msg' content='x'`
  ]) {
    const isWhole = text === "end=False start=False type='msg' content='x'\n"
    t.equal(textOf(text), isWhole ? 'x' : text, text)
  }
})

t.test('hostile texts stay as they are', async (t) => {
  const head = "end=False start=False type='msg' content="
  const megabytes = 'x"\'\\'.repeat(500_000)
  for (const text of [
    megabytes, `${head}'${'\\'.repeat(2_000_001)}`, `${head}"${"'".repeat(2_000_000)}`, `${head}'\ud83d`,
    'end='.repeat(500_000), `end=${'a'.repeat(2_000_000)}`, 'end=a '.repeat(300_000), `${'e'.repeat(100)}nd=1`,
    '\ud800', '\0\x1b[2J\u202e', ''
  ]) t.ok(textOf(text) === text, `${text.length} characters from ${JSON.stringify(text.slice(0, 50))}`)
  t.equal(textOf(`${head}${repr('\ud83d')}`), '\ud83d')
  t.equal(textOf(`${head}${repr('\ude00\ud83d\0')}`), '\ude00\ud83d\0')
})

t.test('a long text is unwrapped and not cut', async (t) => {
  const long = 'né"\'\\\n'.repeat(350_000)
  t.ok(textOf(`end=False start=True type='msg' content=${repr(long)}`) === long)
})

t.test('the work of unwrapping is linear in the length of the text', async (t) => {
  const head = "end=False start=False type='msg' content="
  const forms = [
    (count: number) => `${head}'${'\\'.repeat(count)}`,
    (count: number) => `${head}'${"\\'".repeat(count / 2)}'`,
    (count: number) => `${head}'${'\\x4'.repeat(count / 3)}'`,
    (count: number) => `${head}'a'\n`.repeat(count / head.length) + 'end=',
    (count: number) => `end=${'a'.repeat(count)}`,
    (count: number) => 'end=a '.repeat(count / 6),
    (count: number) => `end='${' end='.repeat(count / 5)}`
  ]
  for (const [index, form] of forms.entries()) {
    const counted = countingText(form(60_000))
    readWrapper(counted.text)
    t.ok(counted.reads() <= 5 * 60_000 + 1000, `form ${index}: ${counted.reads()} reads`)
  }
})

/** A text that counts how many of its characters are read. */
function countingText (text: string): { readonly text: string, reads: () => number } {
  let reads = 0
  const count = (characters: number) => { reads += Math.max(0, characters) }
  const object = {
    length: text.length,
    startsWith: (start: string) => { count(start.length); return text.startsWith(start) },
    charCodeAt: (at: number) => { count(1); return text.charCodeAt(at) },
    charAt: (at: number) => { count(1); return text.charAt(at) },
    slice: (start: number, end = text.length) => { count(end - start); return text.slice(start, end) }
  }
  return { text: object as unknown as string, reads: () => reads }
}

t.test('narrate gives back every text that was wrapped in the repr form', async (t) => {
  const text = fc.oneof(
    fc.string({ unit: anyCharacter, maxLength: 60 }),
    fc.array(fc.constantFrom("'", '"', '\\', '\n', ' content=', 'end=', '\ud83d', '\ude00', 'x41', 'א')).map((parts) =>
      parts.join(''))
  )
  holds(t, fc.property(text, fc.constantFrom('msg', 'tool_output'), (inside, type) =>
    textOf(`end=False start=True type='${type}' content=${repr(inside)}`) === inside), { numRuns: runs(500) })
  holds(t, fc.property(fc.array(text, { minLength: 2, maxLength: 4 }), (insides) =>
    textOf(insides.map((inside) => `end=True start=False type='msg' content=${repr(inside)}`).join('\n')) ===
      insides.join('\n')), { numRuns: runs(200) })
  holds(t, fc.property(text, (plain) => plain.startsWith('end=') || textOf(plain) === plain), { numRuns: runs(500) })
})

t.test('a title has at most 200 UTF-16 code units and no half character', async (t) => {
  t.equal(titleOf('a'.repeat(200)), 'a'.repeat(200))
  t.equal(titleOf('a'.repeat(201)), 'a'.repeat(200))
  t.equal(titleOf(`${'a'.repeat(199)}😀b`), 'a'.repeat(199))
  t.equal(titleOf(`${'a'.repeat(198)}😀b`), `${'a'.repeat(198)}😀`)
  t.equal(titleOf('\ud83d'.repeat(300)), '\ud83d'.repeat(200), 'lone surrogates are no pairs')
})
