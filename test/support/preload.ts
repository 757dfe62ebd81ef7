import { setDefaultTimeout } from 'bun:test'

// A busy machine is not a failure: what must be fast is measured in test/bench, what must end has deadlines of its own.
setDefaultTimeout(60_000)
