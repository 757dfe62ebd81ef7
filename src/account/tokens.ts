/** The page of a user's personal access tokens. */
import { Elysia } from 'elysia'
import { z } from 'zod'
import { translated } from '../../views/texts/errors.ts'
import { newTokenPage, type TokensProps, tokensPage } from '../../views/tokens.tsx'
import type { Handled } from '../http/client-address.ts'
import { keepForm, keptForm } from '../http/kept-form.ts'
import { languageOf, textsOf } from '../http/language.ts'
import { noticeCookie } from '../http/notice.ts'
import { seeOther } from '../http/pages.ts'
import { checkParams, queryParams, readParams } from '../http/params.ts'
import { PAGE } from '../http/routes.ts'
import { csrfToken, requireCsrf, session, signedInRecently, type Viewer, type Viewers } from '../http/session.ts'
import { page } from '../http/shell.ts'
import { AppError, SignInRequired } from '../lib/errors.ts'
import type { OAuthDeps } from '../oauth/deps.ts'
import {
  addPersonalToken,
  listPersonalTokens,
  PERSONAL_TOKEN_DAYS,
  personalTokenScopes,
  revokePersonalToken,
} from '../oauth/personal-tokens.ts'
import { permissionsOf } from './permissions.ts'

const TOKENS = 'tokens'
const WHERE = '/account/tokens'
const addSchema = z.looseObject({ name: z.string().max(300).default(''), days: z.string().max(10).default('') })
const revokeSchema = z.object({ id: z.uuid() })

type TokensDeps = OAuthDeps & { viewers: Viewers }
type Asked = Handled & { viewer: Viewer }

const EMPTY = {
  name: '',
  days: String(PERSONAL_TOKEN_DAYS),
  scopes: ['mcp:tools:read', 'mcp:tools:call'],
  problem: undefined,
}

export const tokens = (deps: TokensDeps) =>
  new Elysia({ name: 'account-tokens' })
    .use(session(deps))
    .get(WHERE, asked => showTokens(deps, asked, typedBefore(deps, asked)), { signedIn: true, ...PAGE })
    // Where the form leaves the browser's address.
    .get(`${WHERE}/add`, () => seeOther(WHERE), { signedIn: true, ...PAGE })
    .post(`${WHERE}/add`, asked => add(deps, asked), { parse: 'none', signedIn: true, ...PAGE })
    .post(
      `${WHERE}/revoke`,
      async ({ viewer, request, server }) => {
        const params = await readParams(request)
        requireCsrf(deps, { request, server }, viewer, TOKENS, params)
        const { id } = checkParams(params, revokeSchema)
        const revoked = await revokePersonalToken(deps, { id, userId: viewer.userId, by: 'user' })
        const t = textsOf(request)
        const notice = revoked ? t.tokenRevoked : t.noSuchToken
        return seeOther(WHERE, [noticeCookie(deps, notice)])
      },
      { parse: 'none', signedIn: true, ...PAGE },
    )

async function add(deps: TokensDeps, asked: Asked): Promise<Response> {
  const params = await readParams(asked.request)
  requireCsrf(deps, asked, asked.viewer, TOKENS, params)
  const form = checkParams(params, addSchema)
  const user = { id: asked.viewer.userId, isAdmin: asked.viewer.isAdmin }
  if (!signedInRecently(deps, asked.viewer)) {
    const { csrf: _, ...fields } = params
    const kept = keepForm(deps, user.id, TOKENS, fields)
    throw new SignInRequired(`${WHERE}?${new URLSearchParams({ kept })}`, true)
  }
  const scope = chosen(deps, user, form)
  try {
    const days = Number(form.days)
    const { name, token, expiresAt } = await addPersonalToken(deps, { user, name: form.name, scope, days, by: 'user' })
    return page(deps, asked.request, shell => newTokenPage({ shell, name, token, expiresAt: expiresAt.toISOString() }))
  } catch (error) {
    if (!(error instanceof AppError)) throw error
    const problem =
      scope.length === 0 ? textsOf(asked.request).tokenNeedsScope : translated(languageOf(asked.request), error.advice)
    const typed = { name: form.name, days: form.days, scopes: scope, problem }
    return showTokens(deps, asked, typed)
  }
}

/** What was typed before its user had to sign in again. */
function typedBefore(deps: TokensDeps, { request, viewer }: Asked): TokensProps['typed'] {
  const kept = keptForm(deps, viewer.userId, TOKENS, queryParams(request).kept)
  const form = addSchema.safeParse(kept).data
  if (!form) return EMPTY
  const user = { id: viewer.userId, isAdmin: viewer.isAdmin }
  return { name: form.name, days: form.days, scopes: chosen(deps, user, form), problem: undefined }
}

const chosen = (deps: TokensDeps, user: { id: string; isAdmin: boolean }, form: Record<string, unknown>) =>
  personalTokenScopes(deps, user).filter(name => form[`scope:${name}`] === 'yes')

async function showTokens(
  deps: TokensDeps,
  { viewer, request }: Asked,
  typed: TokensProps['typed'],
): Promise<Response> {
  const rows = await listPersonalTokens(deps, viewer.userId)
  return page(
    deps,
    request,
    shell =>
      tokensPage({
        shell,
        csrf: csrfToken(deps, viewer, TOKENS),
        tokens: rows.map(({ id, name, scope, resource, created_at, expires_at, used_at }) => ({
          id,
          name,
          permissions: permissionsOf(deps, scope),
          resource,
          createdAt: created_at.toISOString(),
          expiresAt: expires_at.toISOString(),
          isExpired: expires_at <= deps.now(),
          usedAt: used_at?.toISOString(),
        })),
        scopes: permissionsOf(deps, personalTokenScopes(deps, viewer)),
        recent: signedInRecently(deps, viewer),
        typed,
      }),
    { status: typed.problem === undefined ? 200 : 400 },
  )
}
