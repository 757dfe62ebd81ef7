/** The page of a user's passkeys. */
import { Elysia } from 'elysia'
import { z } from 'zod'
import { passkeysPage } from '../../views/passkeys.tsx'
import { fill } from '../../views/texts/index.ts'
import type { Base } from '../base.ts'
import { clientAddress, type Handled } from '../http/client-address.ts'
import { textsOf } from '../http/language.ts'
import { noticeCookie } from '../http/notice.ts'
import { seeOther } from '../http/pages.ts'
import { checkParams, readParams } from '../http/params.ts'
import { PAGE } from '../http/routes.ts'
import { csrfToken, requireCsrf, session, signedInRecently, type Viewer, type Viewers } from '../http/session.ts'
import { page } from '../http/shell.ts'
import { SignInRequired } from '../lib/errors.ts'
import {
  addPasskey,
  listPasskeys,
  registrationOptions,
  removePasskey,
  renamePasskey,
  withoutChallenge,
} from '../signin/passkeys.ts'

const PASSKEYS = 'passkeys'
const WHERE = '/account/passkeys'
const addSchema = z.object({ credential: z.string().max(60_000), name: z.string().max(300).default('') })
const oneSchema = z.object({ id: z.string().max(1400), name: z.string().max(300).default('') })

type PasskeyDeps = Base & { viewers: Viewers; providers: ReadonlyMap<string, unknown> }
type Asked = Handled & { viewer: Viewer }

export const passkeys = (deps: PasskeyDeps) => {
  const hasProviders = deps.providers.size > 0

  /** Reads a form of this page. @throws SignInRequired to add or remove one if the sign-in is too long ago. */
  async function readForm<T extends z.ZodType>(asked: Asked, schema: T, { recent = false } = {}): Promise<z.output<T>> {
    const params = await readParams(asked.request)
    requireCsrf(deps, asked, asked.viewer, PASSKEYS, params)
    if (recent && !signedInRecently(deps, asked.viewer)) throw new SignInRequired(WHERE, true)
    return checkParams(params, schema)
  }

  return new Elysia({ name: 'passkeys' })
    .use(session(deps))
    .get(WHERE, asked => showPasskeys(deps, asked), { signedIn: true, ...PAGE })
    .post(
      `${WHERE}/options`,
      async asked => {
        await readForm(asked, z.looseObject({}), { recent: true })
        const { options, cookie } = await registrationOptions(deps, asked.viewer, asked.viewer.sessionHash)
        return Response.json(options, { headers: { 'Set-Cookie': cookie, 'Cache-Control': 'no-store' } })
      },
      { parse: 'none', signedIn: true, ...PAGE },
    )
    .post(
      `${WHERE}/add`,
      async asked => {
        const form = await readForm(asked, addSchema, { recent: true })
        const { request, server, viewer } = asked
        const { userId, sessionHash } = viewer
        const ip = clientAddress(deps, request, server)
        const name = await addPasskey(deps, request, { userId, sessionHash, ip }, form)
        const notice = fill(textsOf(request).passkeyAdded, { name })
        return seeOther(WHERE, [noticeCookie(deps, notice), withoutChallenge(deps)])
      },
      { parse: 'none', signedIn: true, ...PAGE },
    )
    .post(
      `${WHERE}/rename`,
      async asked => {
        const { id, name } = await readForm(asked, oneSchema)
        const renamed = await renamePasskey(deps, { id, userId: asked.viewer.userId, name })
        const t = textsOf(asked.request)
        return seeOther(WHERE, [noticeCookie(deps, renamed ? t.passkeyRenamed : t.noSuchPasskey)])
      },
      { parse: 'none', signedIn: true, ...PAGE },
    )
    .post(
      `${WHERE}/remove`,
      async asked => {
        const { id } = await readForm(asked, oneSchema, { recent: true })
        const name = await removePasskey(deps, { id, userId: asked.viewer.userId, hasProviders })
        const t = textsOf(asked.request)
        const notice = name === undefined ? t.passkeyKept : fill(t.passkeyRemoved, { name })
        return seeOther(WHERE, [noticeCookie(deps, notice)])
      },
      { parse: 'none', signedIn: true, ...PAGE },
    )
}

async function showPasskeys(deps: PasskeyDeps, { viewer, request }: Asked): Promise<Response> {
  const rows = await listPasskeys(deps, viewer.userId)
  return page(deps, request, shell =>
    passkeysPage({
      shell,
      csrf: csrfToken(deps, viewer, PASSKEYS),
      passkeys: rows.map(({ id, name, backed_up, created_at, used_at }) => ({
        id,
        name,
        backedUp: backed_up,
        createdAt: created_at.toISOString(),
        usedAt: used_at?.toISOString(),
      })),
      recent: signedInRecently(deps, viewer),
      lastIsNeeded: deps.providers.size === 0,
    }),
  )
}
