// Forms that a passkey completes; without this they stay hidden.
;(() => {
  const { browserSupportsWebAuthn, startAuthentication, startRegistration } = SimpleWebAuthnBrowser
  const start = { add: startRegistration, use: startAuthentication }

  async function complete(form) {
    const { csrf, credential } = form.elements
    const answer = await fetch(form.dataset.options, {
      method: 'POST',
      body: new URLSearchParams({ csrf: csrf.value }),
      headers: { Accept: 'application/json' },
    })
    // Since the page was loaded, the sign-in has become too old, or has ended; the page says what to do.
    if (answer.status === 401) return location.reload()
    if (!answer.ok) throw new Error(`${answer.status}`)
    const optionsJSON = await answer.json()
    credential.value = JSON.stringify(await start[form.dataset.passkey]({ optionsJSON }))
    form.submit()
  }

  for (const form of document.querySelectorAll('form[data-passkey]')) {
    if (!browserSupportsWebAuthn()) continue
    form.hidden = false
    form.addEventListener('submit', event => {
      event.preventDefault()
      const problem = form.querySelector('.problem')
      problem.hidden = true
      complete(form).catch(() => {
        problem.hidden = false
      })
    })
  }
})()
