/** Client id metadata documents (draft-ietf-oauth-client-id-metadata-document), as the device endpoint takes them. */
import { document, openTrap, type Reply } from '../documents.ts'
import { describe, isLoopback } from '../http.ts'
import { Unchecked } from '../model.ts'
import { type Finding, notTested, passIf, type Requirement } from '../requirement.ts'
import type { Target } from '../target.ts'

const DRAFT = 'CIMD draft'

/** Where they are offered, with a host for documents if one was given. */
function offered(target: Target) {
  if (target.metadata?.client_id_metadata_document_supported !== true)
    throw new Unchecked('not offered', 'client_id_metadata_document_supported is not true')
}

function host(target: Target) {
  offered(target)
  if (!target.options.documents) throw new Unchecked('not tested', 'no --documents to serve them from')
  return target.options.documents
}

/** The refusals below prove nothing if no document is ever taken. */
async function hostThatWorks(target: Target) {
  const documents = host(target)
  const answer = await target.requestDevice({ id: documents.putDocument() })
  if (answer.status !== 200) throw new Unchecked('not tested', 'a good document is refused: see CIMD-1')
  return documents
}

async function refuses(target: Target, ...ids: string[]): Promise<Finding> {
  const answers = await Promise.all(ids.map(id => target.requestDevice({ id })))
  const refused = answers.every(({ status }) => status >= 400 && status < 500)
  return passIf(refused, [...new Set(answers.map(describe))].join(', '))
}

const bad = (reply: (url: string) => Reply) => async (target: Target) =>
  refuses(target, (await hostThatWorks(target)).put(reply))

export const metadataDocuments: Requirement[] = [
  {
    id: 'CIMD-1',
    level: 'SHOULD',
    source: `${DRAFT}, Client Information Discovery`,
    expected: 'A client whose id is the address of a good document is taken',
    async check(target) {
      const answer = await target.requestDevice({ id: host(target).putDocument() })
      return passIf(answer.status === 200, describe(answer))
    },
  },
  {
    id: 'CIMD-2',
    level: 'MUST',
    source: `${DRAFT}, Client Metadata Document`,
    expected: 'A document that names another client_id is refused',
    check: bad(url => ({ body: document(`${url}x`) })),
  },
  {
    id: 'CIMD-3',
    level: 'MUST',
    source: `${DRAFT}, Client Information Discovery`,
    expected: 'Redirects are not followed',
    async check(target) {
      const documents = await hostThatWorks(target)
      let followed = 0
      const from = documents.put(url => ({
        status: 302,
        headers: {
          Location: documents.put(() => {
            followed += 1
            return { body: document(url) }
          }),
        },
      }))
      const { outcome, seen } = await refuses(target, from)
      return passIf(outcome === 'pass' && followed === 0, followed ? `followed, then ${seen}` : seen)
    },
  },
  {
    id: 'CIMD-4',
    level: 'MUST',
    source: `${DRAFT}, Client Information Discovery`,
    expected: 'Every status but 200 is an error, whatever the body (201, 203, 404, 500)',
    async check(target) {
      const documents = await hostThatWorks(target)
      return refuses(target, ...[201, 203, 404, 500].map(status => documents.putDocument({}, { status })))
    },
  },
  {
    id: 'CIMD-5',
    level: 'MUST',
    source: `${DRAFT}, Client Metadata Document`,
    expected: 'Documents with a shared secret as their only authentication are refused',
    async check(target) {
      const documents = await hostThatWorks(target)
      const methods = ['client_secret_basic', 'client_secret_post', 'client_secret_jwt']
      return refuses(target, ...methods.map(method => documents.putDocument({ token_endpoint_auth_method: method })))
    },
  },
  {
    id: 'CIMD-6',
    level: 'SHOULD',
    source: `${DRAFT}, Client Metadata Document`,
    expected: 'A document with client_secret or client_secret_expires_at is refused',
    async check(target) {
      const documents = await hostThatWorks(target)
      const secrets = [{ client_secret: 'everybody reads it' }, { client_secret_expires_at: 0 }]
      return refuses(target, ...secrets.map(more => documents.putDocument(more)))
    },
  },
  {
    id: 'CIMD-7',
    level: 'MUST',
    source: `${DRAFT}, Client Identifier`,
    expected: 'Ids that are no such address are refused: dot segments, a fragment, a user name, no path',
    async check(target) {
      const documents = await hostThatWorks(target)
      // Each is spelled in the document as it is sent, so that only its form speaks against it.
      const spelled = (id: (url: URL) => string) => {
        const url = documents.put(at => ({ body: document(id(new URL(at))) }))
        return id(new URL(url))
      }
      const forms = [
        ({ origin, pathname }: URL) => `${origin}/a/..${pathname}`,
        ({ origin, pathname }: URL) => `${origin}/.${pathname}`,
        ({ href }: URL) => `${href}#x`,
        ({ host: name, pathname }: URL) => `https://user@${name}${pathname}`,
      ]
      return refuses(target, ...forms.map(spelled), new URL(documents.putDocument()).origin)
    },
  },
  {
    id: 'CIMD-8',
    level: 'MUST',
    source: `${DRAFT}, Client Identifier`,
    expected: 'Plain http ids are refused',
    async check(target) {
      offered(target)
      return refuses(target, 'http://client.example/client.json')
    },
  },
  {
    id: 'CIMD-9',
    level: 'MUST',
    source: `${DRAFT}, Server Side Request Forgery`,
    expected: 'Addresses on loopback are not fetched (allowed to a server that is itself on loopback)',
    async check(target) {
      offered(target)
      const trap = await openTrap()
      try {
        const names = ['127.0.0.1', 'localhost', '[::ffff:127.0.0.1]']
        const finding = await refuses(target, ...names.map(name => `https://${name}:${trap.port}/client.json`))
        if (trap.connections() > 0 && isLoopback(target.options.issuer))
          return notTested('fetched by a server on loopback')
        return passIf(
          finding.outcome === 'pass' && trap.connections() === 0,
          `${finding.seen}, ${trap.connections()} connections`,
        )
      } finally {
        trap.close()
      }
    },
  },
  {
    id: 'CIMD-10',
    level: 'SHOULD',
    source: `${DRAFT}, Maximum Response Size`,
    expected: 'The size of a document is limited: one of 2 MB is refused',
    check: bad(url => ({
      body: document(url, { client_uri: 'https://client.example/', padding: 'x'.repeat(2_000_000) }),
    })),
  },
  {
    id: 'CIMD-11',
    level: 'MUST',
    source: `${DRAFT}, Metadata Caching`,
    expected: 'Errors and malformed documents are not cached: a good document is taken right after',
    async check(target) {
      const documents = await hostThatWorks(target)
      const ids = [
        documents.put((url, asked) => (asked === 1 ? { status: 500 } : { body: document(url) })),
        documents.put((url, asked) => (asked === 1 ? { body: 'not JSON' } : { body: document(url) })),
      ]
      await Promise.all(ids.map(id => target.requestDevice({ id })))
      const answers = await Promise.all(ids.map(id => target.requestDevice({ id })))
      return passIf(
        answers.every(({ status }) => status === 200),
        answers.map(describe).join(', '),
      )
    },
  },
]
