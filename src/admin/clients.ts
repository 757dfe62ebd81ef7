/** Clients: where they come from, and those that operators add. */
import { Elysia } from 'elysia'
import { z } from 'zod'
import type { ClientRow } from '../../sql/clients.ts'
import {
  type ClientKind,
  type ClientsProps,
  type ClientView,
  clientSecretPage,
  clientsPage,
  SOURCES,
  type Source,
} from '../../views/admin/clients.tsx'
import { seeOther } from '../http/pages.ts'
import { queryParams } from '../http/params.ts'
import { PAGE } from '../http/routes.ts'
import { printableText } from '../lib/text.ts'
import { addClient, newestClients, removeClient, rotateClientSecret } from '../oauth/clients/index.ts'
import { clientLabel } from '../oauth/clients/names.ts'
import { redirectUriProblem } from '../oauth/clients/redirect-uris.ts'
import { DEVICE_CODE_GRANT, type GrantType } from '../oauth/grants/types.ts'
import { DEFAULT_SCOPE } from '../oauth/scopes.ts'
import {
  type AdminDeps,
  type Asked,
  administrators,
  adminPage,
  asAdministrator,
  backTo,
  readForm,
  typedBefore,
} from './guard.ts'
import { address, CLIENT_IDS, formatBefore, placeBefore } from './paging.ts'

const LIMIT = 50

/** What a client of each kind may do. */
const KINDS: Record<ClientKind, { grantTypes: GrantType[]; confidential: boolean; redirects: boolean }> = {
  device: { grantTypes: [DEVICE_CODE_GRANT, 'refresh_token'], confidential: false, redirects: false },
  app: { grantTypes: ['authorization_code', 'refresh_token'], confidential: false, redirects: true },
  web: { grantTypes: ['authorization_code', 'refresh_token'], confidential: true, redirects: true },
  machine: { grantTypes: ['client_credentials'], confidential: true, redirects: false },
}

const addSchema = z.looseObject({
  name: z.string().max(300).default(''),
  kind: z.enum(Object.keys(KINDS) as [ClientKind]),
  redirect_uris: z.string().max(4000).default(''),
})
const source = z.enum(Object.keys(SOURCES) as [Source])
const oneSchema = z.object({ id: z.string().max(2000), source })

type Typed = ClientsProps['typed']
const EMPTY: Typed = { name: '', redirectUris: '', kind: 'device', scopes: DEFAULT_SCOPE, problem: undefined }

export const clients = (deps: AdminDeps) =>
  new Elysia({ name: 'admin-clients' })
    .use(administrators(deps))
    .get('/admin/clients', asked => showClients(deps, asked, typedOrEmpty(deps, asked)), {
      administrator: true,
      ...PAGE,
    })
    // Where forms that show a secret leave the browser's address.
    .get('/admin/clients/add', () => seeOther('/admin/clients'), { administrator: true, ...PAGE })
    .get('/admin/clients/rotate', () => seeOther('/admin/clients'), { administrator: true, ...PAGE })
    .post('/admin/clients/add', asked => add(deps, asked), { parse: 'none', administrator: true, ...PAGE })
    .post(
      '/admin/clients/rotate',
      async asked => {
        const { id, source } = await readForm(deps, asked, 'clients', oneSchema, {
          dangerous: ({ source }) => ({ source }),
        })
        const secret = await rotateClientSecret(asAdministrator(deps, asked), id)
        if (secret === undefined) return backTo(deps, address('/admin/clients', { source }), 'There is no such client.')
        return adminPage(deps, asked, 'clients', frame =>
          clientSecretPage({ frame, title: 'The client has a new secret', id, secret }),
        )
      },
      { parse: 'none', administrator: true, ...PAGE },
    )
    .post(
      '/admin/clients/remove',
      async asked => {
        const { id, source } = await readForm(deps, asked, 'clients', oneSchema, {
          dangerous: ({ source }) => ({ source }),
        })
        const removed = await removeClient(asAdministrator(deps, asked), id)
        return backTo(
          deps,
          address('/admin/clients', { source }),
          removed ? `The client ${id} is removed; its tokens no longer work.` : 'There is no such client.',
        )
      },
      { parse: 'none', administrator: true, ...PAGE },
    )

function typedOrEmpty(deps: AdminDeps, asked: Asked): Typed {
  const before = typedBefore(deps, asked, 'clients', addSchema)
  if (!before) return EMPTY
  const { name, kind, redirect_uris: redirectUris } = before
  return { name, kind, redirectUris, scopes: chosen(deps, before), problem: undefined }
}

async function add(deps: AdminDeps, asked: Asked): Promise<Response> {
  const form = await readForm(deps, asked, 'clients', addSchema, { dangerous: () => ({}) })
  const { grantTypes, confidential, redirects } = KINDS[form.kind]
  const name = printableText(form.name, 101)
  const redirectUris = redirects ? form.redirect_uris.split(/\s+/).filter(Boolean) : []
  const scope = chosen(deps, form)
  const wrong = redirectUris.find(uri => redirectUriProblem(uri, !confidential))
  const problem =
    name === '' || name.length > 100
      ? 'The name must have 1 to 100 characters.'
      : redirects && redirectUris.length === 0
        ? 'A client that opens a browser needs a redirect URI.'
        : wrong !== undefined
          ? `The redirect URI ${wrong}: ${redirectUriProblem(wrong, !confidential)}.`
          : scope.length === 0
            ? 'Choose at least one thing that it may ask for.'
            : undefined
  if (problem !== undefined) {
    const typed = { name: form.name, redirectUris: form.redirect_uris, kind: form.kind, scopes: scope, problem }
    return showClients(deps, asked, typed)
  }
  const { id, secret } = await addClient(asAdministrator(deps, asked), {
    name,
    grantTypes: [...grantTypes],
    redirectUris,
    scope,
    authMethod: confidential ? 'client_secret_basic' : 'none',
  })
  return adminPage(deps, asked, 'clients', frame => clientSecretPage({ frame, title: `${name} is added`, id, secret }))
}

const chosen = ({ scopes }: AdminDeps, form: Record<string, unknown>) =>
  scopes.names.filter(scope => form[`scope:${scope}`] === 'yes')

async function showClients(deps: AdminDeps, asked: Asked, typed: Typed): Promise<Response> {
  const query = asked.request.method === 'GET' ? queryParams(asked.request) : {}
  const from = source.safeParse(query.source).data ?? 'operator'
  const before = placeBefore(query.before, CLIENT_IDS)
  const found = await newestClients(deps, { source: from, before, limit: LIMIT + 1 })
  const last = found.length > LIMIT ? found[LIMIT - 1] : undefined
  return adminPage(
    deps,
    asked,
    'clients',
    frame =>
      clientsPage({
        frame,
        source: from,
        clients: found.slice(0, LIMIT).map(shown),
        next: last && address('/admin/clients', { source: from, before: formatBefore(last) }),
        scopes: deps.scopes.names.map(name => ({ name, text: deps.scopes.text(name) })),
        typed,
      }),
    typed.problem === undefined ? 200 : 400,
  )
}

function shown(client: ClientRow): ClientView {
  return {
    id: client.id,
    label: clientLabel(client),
    auth: client.auth_method,
    grants: client.grant_types.map(grant => (grant === DEVICE_CODE_GRANT ? 'device_code' : grant)),
    scope: client.scope,
    redirectUris: client.redirect_uris,
    createdAt: client.created_at.toISOString(),
    usedAt: client.used_at?.toISOString(),
  }
}
