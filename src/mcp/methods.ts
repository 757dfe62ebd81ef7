/** MCP methods about tools, prompts and resources: the scope, capability and params of each. */
import { logLevelOf } from '../gateway/eras.ts'
import { isObject } from '../gateway/messages.ts'

type Params = Record<string, unknown>

interface Method {
  /** The minimum scope; absent: none. */
  scope?: string
  /** The capability that announces the method. */
  capability: 'tools' | 'prompts' | 'resources' | 'completions' | 'logging'
  isValid(params: Params): boolean
}

const isText = (value: unknown) => typeof value === 'string'
const isPage = ({ cursor }: Params) => cursor === undefined || isText(cursor)
const isNamed = ({ name, arguments: args }: Params) => isText(name) && (args === undefined || isObject(args))
const hasUri = ({ uri }: Params) => isText(uri)

function isCompletion({ ref, argument }: Params): boolean {
  if (!isObject(ref) || !isObject(argument) || !isText(argument.name) || !isText(argument.value)) return false
  return ref.type === 'ref/prompt' ? isText(ref.name) : ref.type === 'ref/resource' && isText(ref.uri)
}

const TOOLS = { capability: 'tools' } as const
const PROMPTS = { capability: 'prompts', scope: 'mcp:prompts:read' } as const
const RESOURCES = { capability: 'resources', scope: 'mcp:resources:read' } as const

export const METHODS: ReadonlyMap<string, Method> = new Map<string, Method>([
  ['tools/list', { ...TOOLS, scope: 'mcp:tools:read', isValid: isPage }],
  ['tools/call', { ...TOOLS, scope: 'mcp:tools:call', isValid: isNamed }],
  ['prompts/list', { ...PROMPTS, isValid: isPage }],
  ['prompts/get', { ...PROMPTS, isValid: isNamed }],
  ['resources/list', { ...RESOURCES, isValid: isPage }],
  ['resources/templates/list', { ...RESOURCES, isValid: isPage }],
  ['resources/read', { ...RESOURCES, isValid: hasUri }],
  ['resources/subscribe', { ...RESOURCES, isValid: hasUri }],
  ['resources/unsubscribe', { ...RESOURCES, isValid: hasUri }],
  ['completion/complete', { capability: 'completions', isValid: isCompletion }],
  ['logging/setLevel', { capability: 'logging', isValid: ({ level }) => logLevelOf(level) !== undefined }],
])

/** The scope of a method; for a completion, that of the prompt or resource. @returns undefined for an unknown method. */
export function scopeOf(method: string, params: Params): string | undefined {
  if (method !== 'completion/complete') return METHODS.get(method)?.scope
  return isObject(params.ref) && params.ref.type === 'ref/prompt' ? PROMPTS.scope : RESOURCES.scope
}
