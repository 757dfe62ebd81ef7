/** The fixture tools and the prompt that ask the client: elicitation, sampling, roots (SEP-2322, SEP-1034, SEP-1330). */
import type { CallToolResult, ElicitRequestFormParams } from '@modelcontextprotocol/server'
import { type Asked, accepted, type Call, type Question, refused, text } from './call.ts'

type Answer = CallToolResult | Asked
type Schema = ElicitRequestFormParams['requestedSchema']
type Properties = Schema['properties']

const said = (words: string): CallToolResult => ({ content: [text(words)] })
const REFUSED = said('The user refused')

function elicit(message: string, properties: Properties, required = Object.keys(properties)): Question {
  return {
    method: 'elicitation/create',
    params: { mode: 'form', message, requestedSchema: { type: 'object', properties, required } },
  }
}

function sample(words: string, maxTokens: number): Question {
  return {
    method: 'sampling/createMessage',
    params: { messages: [{ role: 'user', content: text(words) }], maxTokens },
  }
}

const ROOTS: Question = { method: 'roots/list', params: {} }
const ASK_NAME = elicit('What is your name?', { name: { type: 'string' } })
const CONFIRM = elicit('Please confirm', { ok: { type: 'boolean' } })

/** The answer of the client's model. */
function sampled({ answers }: Call, key: string): string | undefined {
  const answer = answers[key] as { role?: unknown; content?: unknown } | undefined
  if (answer?.role === undefined) return undefined
  const [block] = [answer.content].flat() as { text?: unknown }[]
  return typeof block?.text === 'string' ? block.text : JSON.stringify(block)
}

function rootsOf({ answers }: Call, key: string): string[] | undefined {
  const { roots } = (answers[key] ?? {}) as { roots?: { uri: string }[] }
  return Array.isArray(roots) ? roots.map(({ uri }) => uri) : undefined
}

/** Asks one question, and reports the outcome. */
function elicitOnce(call: Call, question: Question, say: (action: string, content: string) => string): Answer {
  const answer = call.answers.answer as { action?: unknown; content?: unknown } | undefined
  if (typeof answer?.action !== 'string') return { ask: { answer: question } }
  return said(say(answer.action, JSON.stringify(answer.content ?? {})))
}

function askName(call: Call): Answer {
  if (refused(call, 'user_name')) return REFUSED
  const name = accepted(call, 'user_name')?.name
  return typeof name === 'string' ? said(`Hello, ${name}!`) : { ask: { user_name: ASK_NAME } }
}

/** Asks for a confirmation, and accepts it only together with the state of the previous round. */
function confirm(words: string) {
  return (call: Call): Answer => {
    if (refused(call, 'confirm')) return REFUSED
    const isBack = (call.state as { asked?: unknown } | undefined)?.asked === words
    if (isBack && accepted(call, 'confirm')) return said(words)
    return { ask: { confirm: CONFIRM }, state: { asked: words } }
  }
}

function askAll(call: Call): Answer {
  if (refused(call, 'user_name')) return REFUSED
  const name = accepted(call, 'user_name')?.name
  const greeting = sampled(call, 'greeting')
  const roots = rootsOf(call, 'client_roots')
  if (typeof name === 'string' && greeting !== undefined && roots)
    return said(`${greeting} ${name}, ${roots.join(' ')}`)
  return {
    ask: { user_name: ASK_NAME, greeting: sample('Generate a greeting', 50), client_roots: ROOTS },
    state: { asked: 'all' },
  }
}

function askTwice(call: Call): Answer {
  if (refused(call, 'step1') || refused(call, 'step2')) return REFUSED
  const { name: known } = (call.state ?? {}) as { name?: string }
  const color = accepted(call, 'step2')?.color
  if (known !== undefined && typeof color === 'string') return said(`${known} likes ${color}`)
  const name = known ?? accepted(call, 'step1')?.name
  if (call.state !== undefined && typeof name === 'string') {
    const ask = { step2: elicit('Step 2: What is your favorite color?', { color: { type: 'string' } }) }
    return { ask, state: { step: 2, name } }
  }
  return { ask: { step1: elicit('Step 1: What is your name?', { name: { type: 'string' } }) }, state: { step: 1 } }
}

function askWhatIsDeclared(call: Call): Answer {
  const ask: Asked['ask'] = {
    ...(call.capabilities.elicitation ? { elicited: elicit('A value, please', { value: { type: 'string' } }) } : {}),
    ...(call.capabilities.sampling ? { sampled: sample('A word, please', 50) } : {}),
  }
  const missing = Object.keys(ask).filter(key => call.answers[key] === undefined)
  return missing.length > 0 ? { ask } : said(`Answered: ${Object.keys(ask).sort().join(', ') || 'nothing'}`)
}

function askModel(key: string, words: string) {
  return (call: Call): Answer => {
    const answer = sampled(call, key)
    return answer === undefined ? { ask: { [key]: sample(words, 100) } } : said(`LLM response: ${answer}`)
  }
}

const options = ['option1', 'option2', 'option3']
const titled = (kind: string) =>
  ['First', 'Second', 'Third'].map((nth, index) => ({ const: `value${index + 1}`, title: `${nth} ${kind}` }))

const DEFAULTS: Properties = {
  name: { type: 'string', default: 'John Doe' },
  age: { type: 'integer', default: 30 },
  score: { type: 'number', default: 95.5 },
  status: { type: 'string', enum: ['active', 'inactive', 'pending'], default: 'active' },
  verified: { type: 'boolean', default: true },
}

const ENUMERATIONS: Properties = {
  untitledSingle: { type: 'string', enum: options },
  titledSingle: { type: 'string', oneOf: titled('Option') },
  legacyEnum: {
    type: 'string',
    enum: ['opt1', 'opt2', 'opt3'],
    enumNames: ['Option One', 'Option Two', 'Option Three'],
  },
  untitledMulti: { type: 'array', items: { type: 'string', enum: options } },
  titledMulti: { type: 'array', items: { anyOf: titled('Choice') } },
}

const completed = (action: string, content: string) => `Elicitation completed: action=${action}, content=${content}`

export const QUESTIONS: Record<string, (call: Call) => Answer | Promise<Answer>> = {
  test_sampling: call => askModel('answer', String(call.args.prompt))(call),
  test_elicitation: call =>
    elicitOnce(
      call,
      elicit(String(call.args.message), {
        username: { type: 'string', description: "User's response" },
        email: { type: 'string', description: "User's email address" },
      }),
      (action, content) => `User response: action: ${action}, content: ${content}`,
    ),
  test_elicitation_sep1034_defaults: call => elicitOnce(call, elicit('Please complete', DEFAULTS, []), completed),
  test_elicitation_sep1330_enums: call => elicitOnce(call, elicit('Please choose', ENUMERATIONS, []), completed),
  test_missing_capability: askModel('answer', 'Is there a model?'),
  async test_streaming_elicitation(call) {
    await call.progress(50, 100)
    return askName(call)
  },
  test_input_required_result_elicitation: askName,
  test_input_required_result_sampling: askModel('capital_question', 'What is the capital of France?'),
  test_input_required_result_list_roots(call) {
    const roots = rootsOf(call, 'client_roots')
    return roots ? said(`Roots: ${roots.join(' ')}`) : { ask: { client_roots: ROOTS } }
  },
  test_input_required_result_request_state: confirm('state-ok'),
  test_input_required_result_multiple_inputs: askAll,
  test_input_required_result_multi_round: askTwice,
  test_input_required_result_tampered_state: confirm('integrity-ok'),
  test_input_required_result_capabilities: askWhatIsDeclared,
}

const ASK_CONTEXT = elicit('What context should the prompt use?', { context: { type: 'string' } })

/** @returns the context that the user wants for a prompt, or the question. */
export function askContext(call: Call): string | Asked {
  const context = accepted(call, 'user_context')?.context
  if (refused(call, 'user_context')) return 'none'
  return typeof context === 'string' ? context : { ask: { user_context: ASK_CONTEXT } }
}
