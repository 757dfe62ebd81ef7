/** The static files that pages load: compressed once, and kept by browsers for ever, since their addresses change with them. */
import { promisify } from 'node:util'
import { brotliCompress, gzip } from 'node:zlib'
import { Elysia, NotFoundError } from 'elysia'
import type { OwnSite, SiteFile } from '../site.ts'
import { encodingOf } from './encoding.ts'

const FOR_EVER = 'public, max-age=31536000, immutable'
const COMPRESS = { br: promisify(brotliCompress), gzip: promisify(gzip) }

export const assets = ({ site }: { site: OwnSite }) => {
  const answers = new Map<string, Promise<Uint8Array>>()

  /** In the thread pool, and each once: the best compression takes 0.1 s. */
  function compressed(file: SiteFile, encoding: 'br' | 'gzip'): Promise<Uint8Array> {
    const key = `${encoding} ${file.hash}`
    const known = answers.get(key) ?? COMPRESS[encoding](file.bytes)
    answers.set(key, known)
    return known
  }

  async function serve(request: Request, name: string, hash: string | undefined): Promise<Response> {
    const file = site.files.get(name)
    if (!file) throw new NotFoundError()
    const isText = !/^image\/(?!svg)/.test(file.type)
    const encoding = isText ? encodingOf(request) : undefined
    return new Response((encoding ? await compressed(file, encoding) : file.bytes) as Uint8Array<ArrayBuffer>, {
      headers: {
        'Content-Type': file.type,
        // Another replica may have a newer version during a deployment.
        'Cache-Control': hash === file.hash ? FOR_EVER : 'no-cache',
        // The operator's image must not run scripts when it is opened by itself.
        'Content-Security-Policy': "default-src 'none'; style-src 'unsafe-inline'",
        Vary: 'Accept-Encoding',
        ...(encoding ? { 'Content-Encoding': encoding } : {}),
      },
    })
  }

  return new Elysia({ name: 'assets' })
    .get('/assets/:file', ({ request, params: { file } }) => {
      const [, name = '', hash, extension = ''] = /^([a-z]+)(?:\.([\w-]{10}))?\.([a-z]+)$/.exec(file) ?? []
      return serve(request, `${name}.${extension}`, hash)
    })
    .get('/favicon.ico', ({ request }) => serve(request, 'icon.svg', undefined))
}
