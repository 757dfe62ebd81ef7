/**
 * What the fixture servers list: the tools, prompts and resources that the conformance suite asks a server for by name
 * (modelcontextprotocol/conformance, `src/scenarios/server`), and a few of our own for what the suite leaves out. It is
 * the same on every SDK, so that a difference between two runs comes from what lies between client and server.
 */
import type { Prompt, Resource, ResourceTemplateType, Tool } from '@modelcontextprotocol/server'

export const INSTRUCTIONS = 'A server for tests: each tool does what its name says.'

/** One red pixel. */
export const PNG = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC'
/** A WAV file without samples. */
export const WAV = 'UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAIA+AAACABAAZGF0YQAAAAA='

const ICON = { src: `data:image/png;base64,${PNG}`, mimeType: 'image/png', sizes: ['1x1'] }

const plain = (name: string, description: string): Tool => ({ name, description, inputSchema: { type: 'object' } })

const taking = (name: string, description: string, argument: string): Tool => ({
  name,
  description,
  inputSchema: { type: 'object', properties: { [argument]: { type: 'string' } }, required: [argument] },
})

/** Nothing of this schema may be lost on its way to the client (SEP-1613, SEP-2106). */
const JSON_SCHEMA_2020_12: Tool['inputSchema'] = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  type: 'object',
  $defs: {
    address: {
      $anchor: 'addressDef',
      type: 'object',
      properties: { street: { type: 'string' }, city: { type: 'string' } },
    },
  },
  properties: {
    name: { type: 'string' },
    address: { $ref: '#/$defs/address' },
    contactMethod: { type: 'string', enum: ['phone', 'email'] },
    phone: { type: 'string' },
    email: { type: 'string' },
  },
  allOf: [{ anyOf: [{ required: ['phone'] }, { required: ['email'] }] }],
  if: { properties: { contactMethod: { const: 'phone' } }, required: ['contactMethod'] },
  // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
  then: { required: ['phone'] },
  else: { required: ['email'] },
  additionalProperties: false,
}

export const TOOLS: readonly Tool[] = [
  plain('test_simple_text', 'Answers with a text'),
  plain('test_image_content', 'Answers with an image'),
  plain('test_audio_content', 'Answers with a sound'),
  plain('test_embedded_resource', 'Answers with an embedded resource'),
  plain('test_multiple_content_types', 'Answers with a text, an image and a resource'),
  plain('test_tool_with_logging', 'Logs three messages while it runs'),
  plain('test_tool_with_progress', 'Reports progress three times'),
  plain('test_error_handling', 'Always fails'),
  taking('test_sampling', 'Asks the model of the client', 'prompt'),
  taking('test_elicitation', 'Asks the user for a name and an address', 'message'),
  plain('test_elicitation_sep1034_defaults', 'Asks with a default for every field'),
  plain('test_elicitation_sep1330_enums', 'Asks with every kind of enumeration'),
  plain('test_input_required_result_elicitation', 'Asks the user for a name'),
  plain('test_input_required_result_sampling', 'Asks the model of the client for a capital'),
  plain('test_input_required_result_list_roots', 'Asks the client for its roots'),
  plain('test_input_required_result_request_state', 'Asks the user to confirm, and keeps its state with the client'),
  plain('test_input_required_result_multiple_inputs', 'Asks user, model and client at once'),
  plain('test_input_required_result_multi_round', 'Asks the user twice, one question after the other'),
  plain('test_input_required_result_tampered_state', 'Accepts its state back only as it was'),
  plain('test_input_required_result_capabilities', 'Asks only what the client says it can answer'),
  plain('test_missing_capability', 'Needs a client with sampling'),
  plain('test_streaming_elicitation', 'Reports progress, then asks the user'),
  plain('test_logging_tool', 'Logs one message'),
  plain('test_trigger_tool_change', 'Adds a tool, or takes it away again'),
  plain('test_trigger_prompt_change', 'Adds a prompt, or takes it away again'),
  { ...plain('json_schema_2020_12_tool', 'Has the keywords of JSON Schema 2020-12'), inputSchema: JSON_SCHEMA_2020_12 },
  // Our own, for what the suite leaves out.
  plain('test_trigger_resource_update', 'Changes test://watched-resource'),
  {
    name: 'test_header_parameter',
    description: 'Answers with its argument and with the header that carried it',
    inputSchema: {
      type: 'object',
      properties: { region: { type: 'string', 'x-mcp-header': 'Region' } },
      required: ['region'],
    },
  },
  {
    name: 'test_every_field',
    title: 'Every field',
    description: 'Is listed with every field and answers with every field',
    icons: [ICON],
    inputSchema: { type: 'object', properties: { number: { type: 'integer' } }, required: ['number'] },
    outputSchema: { type: 'object', properties: { double: { type: 'integer' } }, required: ['double'] },
    annotations: {
      title: 'Every field',
      readOnlyHint: true,
      destructiveHint: false,
      idempotentHint: true,
      openWorldHint: false,
    },
    _meta: { 'example.com/of-the-tool': { kept: true } },
  },
]

/** Listed after test_trigger_tool_change, until it is called again. */
export const ADDED_TOOL = plain('test_added_tool', 'Has been added')

const required = (name: string, description: string) => ({ name, description, required: true })

export const PROMPTS: readonly Prompt[] = [
  { name: 'test_simple_prompt', title: 'Simple', description: 'A prompt without arguments', icons: [ICON] },
  {
    name: 'test_prompt_with_arguments',
    description: 'A prompt with two arguments',
    arguments: [required('arg1', 'The first argument'), required('arg2', 'The second argument')],
  },
  {
    name: 'test_prompt_with_embedded_resource',
    description: 'A prompt with a resource in it',
    arguments: [required('resourceUri', 'The URI of the resource')],
  },
  { name: 'test_prompt_with_image', description: 'A prompt with an image in it' },
  { name: 'test_input_required_result_prompt', description: 'A prompt that asks the user for its context' },
]

/** Listed after test_trigger_prompt_change, until it is called again. */
export const ADDED_PROMPT: Prompt = { name: 'test_added_prompt', description: 'Has been added' }

export const WATCHED = 'test://watched-resource'

export const RESOURCES: readonly Resource[] = [
  {
    uri: 'test://static-text',
    name: 'static-text',
    title: 'Static text',
    description: 'A text that stays as it is',
    mimeType: 'text/plain',
    size: 48,
    icons: [ICON],
    annotations: { audience: ['user'], priority: 0.5 },
  },
  {
    uri: 'test://static-binary',
    name: 'static-binary',
    description: 'An image that stays as it is',
    mimeType: 'image/png',
  },
  { uri: WATCHED, name: 'watched-resource', description: 'A text that changes', mimeType: 'text/plain' },
]

export const TEMPLATES: readonly ResourceTemplateType[] = [
  {
    uriTemplate: 'test://template/{id}/data',
    name: 'template-data',
    description: 'Data by its id',
    mimeType: 'application/json',
  },
]
