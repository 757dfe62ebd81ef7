/** The parts of a browser that a sign-in needs: cookies by host and port, redirects, refreshes and forms. */

export interface Page {
  url: string
  /** 0 for a page that was not opened, because following stops there. */
  status: number
  headers: Headers
  html: string
}

export interface VisitOptions {
  /** Sent by POST. */
  form?: Record<string, string>
  headers?: Record<string, string>
  /** Redirects are followed up to the first URL that starts with this. */
  stopBefore?: string
}

export interface Browser {
  visit(url: string, options?: VisitOptions): Promise<Page>
  /** Sends the page's first form whose action contains `action`, hidden fields included. */
  press(page: Page, action: string, fields?: Record<string, string>, options?: VisitOptions): Promise<Page>
  /** The Cookie header for a URL; it can be changed, as with developer tools. */
  cookies(url: string): Map<string, string>
}

const HOPS = 12

export function openBrowser(): Browser {
  const jars = new Map<string, Map<string, string>>()

  function cookies(url: string): Map<string, string> {
    const { host } = new URL(url)
    const jar = jars.get(host) ?? new Map<string, string>()
    jars.set(host, jar)
    return jar
  }

  async function visit(url: string, { form, headers = {}, stopBefore }: VisitOptions = {}): Promise<Page> {
    let at = url
    let body = form && new URLSearchParams(form)
    for (let hop = 0; hop < HOPS; hop++) {
      if (stopBefore && at.startsWith(stopBefore)) return { url: at, status: 0, headers: new Headers(), html: '' }
      const jar = cookies(at)
      const answer = await fetch(at.replace('//localhost', '//127.0.0.1'), {
        redirect: 'manual',
        ...(body ? { method: 'POST', body } : {}),
        headers: {
          Accept: 'text/html',
          Cookie: [...jar].map(pair => pair.join('=')).join('; '),
          ...(body ? { 'Sec-Fetch-Site': 'same-origin' } : {}),
          ...headers,
        },
      })
      for (const cookie of answer.headers.getSetCookie()) keep(jar, cookie)
      const next = answer.headers.get('location') ?? /^0; url=(.*)$/.exec(answer.headers.get('refresh') ?? '')?.[1]
      const html = await answer.text()
      if (next === undefined) return { url: at, status: answer.status, headers: answer.headers, html }
      at = new URL(next, at).href
      body = undefined
    }
    throw new Error(`too many redirects, at last to ${at}`)
  }

  return {
    visit,
    cookies,
    async press(page, action, fields = {}, options = {}) {
      const form = page.html
        .split('<form')
        .slice(1)
        .map(part => part.split('</form>')[0]!)
        .find(part => /action="([^"]*)"/.exec(part)?.[1]?.includes(action))
      if (!form) throw new Error(`${page.url} (${page.status}) has no form to ${action}`)
      const hidden = [...form.matchAll(/<input type="hidden" name="([^"]+)" value="([^"]*)"/g)]
      const target = new URL(unescaped(/action="([^"]*)"/.exec(form)![1]!), page.url)
      const filled = Object.fromEntries(hidden.map(([, name, value]) => [name!, unescaped(value!)]))
      return visit(target.href, { ...options, form: { ...filled, ...fields } })
    },
  }
}

function keep(jar: Map<string, string>, cookie: string): void {
  const [pair = '', ...attributes] = cookie.split('; ')
  const equals = pair.indexOf('=')
  const gone = attributes.some(
    attribute =>
      /^max-age=0$/i.test(attribute) || (/^expires=/i.test(attribute) && Date.parse(attribute.slice(8)) <= 0),
  )
  if (gone) jar.delete(pair.slice(0, equals))
  else jar.set(pair.slice(0, equals), pair.slice(equals + 1))
}

function unescaped(html: string): string {
  return html
    .replaceAll('&#34;', '"')
    .replaceAll('&quot;', '"')
    .replaceAll('&#39;', "'")
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&amp;', '&')
}
