// Improves pages, which work without it, too: local and relative times, copy buttons, the hyphen of a user code.
;(() => {
  const language = document.documentElement.lang || undefined
  const exact = new Intl.DateTimeFormat(language, { dateStyle: 'long', timeStyle: 'short' })
  const relative = new Intl.RelativeTimeFormat(language, { numeric: 'auto' })
  const UNITS = [
    ['year', 31536000],
    ['month', 2592000],
    ['day', 86400],
    ['hour', 3600],
    ['minute', 60],
  ]

  function sayTime(element) {
    const at = new Date(element.dateTime)
    const seconds = (at.getTime() - Date.now()) / 1000
    const [unit, size] = UNITS.find(([, size]) => Math.abs(seconds) >= size) ?? ['minute', 60]
    element.title = exact.format(at)
    element.textContent = element.hasAttribute('data-exact')
      ? exact.format(at)
      : relative.format(Math.round(seconds / size), unit)
  }

  function enhance(root) {
    for (const element of root.querySelectorAll('time[datetime]')) sayTime(element)
    for (const button of root.querySelectorAll('button[data-copy]')) button.hidden = false
  }

  async function copy(button) {
    const source = document.getElementById(button.dataset.copy)
    try {
      await navigator.clipboard.writeText(source.textContent)
      button.dataset.label ??= button.textContent
      button.textContent = button.dataset.copied
      setTimeout(() => (button.textContent = button.dataset.label), 2000)
    } catch {
      // Not allowed, or not https: select it, so that one key copies it.
      getSelection().selectAllChildren(source)
    }
  }

  document.addEventListener('click', event => {
    const button = event.target.closest('button[data-copy]')
    if (button) copy(button)
  })

  document.addEventListener('input', event => {
    const field = event.target
    if (!field.matches('input.code') || event.isComposing || event.inputType?.startsWith('delete')) return
    if (field.selectionStart !== field.value.length) return
    const letters = field.value.replace(/[\s-]/g, '')
    if (letters.length >= 4) field.value = `${letters.slice(0, 4)}-${letters.slice(4)}`
  })

  enhance(document)
  // What htmx has put in.
  new MutationObserver(records => {
    for (const { addedNodes } of records) for (const node of addedNodes) if (node.nodeType === 1) enhance(node)
  }).observe(document.body, { childList: true, subtree: true })
})()
