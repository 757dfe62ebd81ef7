/**
 * The address of a PostgreSQL, with the parameters that libpq knows and postgres.js does not, or reads differently:
 * `sslmode`, `sslrootcert`, and several hosts. PostgreSQL documentation, "Connection Strings" and "SSL Support".
 */
import { readFileSync } from 'node:fs'
import type postgres from 'postgres'
import { UsageError } from '../lib/errors.ts'

export interface Address {
  url: string
  options: Pick<postgres.Options<Record<string, never>>, 'ssl' | 'target_session_attrs'>
}

/** @param variable What the address was read from, for messages, which never contain the address. @throws UsageError */
export function readAddress(address: string, variable: string): Address {
  const [server = '', query = ''] = address.split('?', 2)
  const parameters = new URLSearchParams(query)
  const take = (name: string) => {
    const value = parameters.get(name)
    parameters.delete(name)
    return value ?? undefined
  }
  const ssl = tlsOptions(take('sslmode'), take('sslrootcert'), variable)
  const hosts = server.replace(/^\w+:\/\/([^/]*@)?/, '').split('/')[0]!
  const asked = take('target_session_attrs') ?? (hosts.includes(',') ? 'read-write' : 'any')
  const target = TARGETS[asked]
  if (target === undefined)
    throw new UsageError(
      `target_session_attrs in ${variable} must be any, read-write or primary, since this server writes`,
    )
  return {
    url: parameters.size > 0 ? `${server}?${parameters}` : server,
    options: { ...(ssl === undefined ? {} : { ssl }), ...(target ? { target_session_attrs: target } : {}) },
  }
}

/** postgres.js takes a hot standby for a server that can be written (`read-write`), but not for a primary. */
const TARGETS: Record<string, 'primary' | false> = { any: false, 'read-write': 'primary', primary: 'primary' }

type Tls = postgres.Options<Record<string, never>>['ssl']

function tlsOptions(mode: string | undefined, rootCertificate: string | undefined, variable: string): Tls | undefined {
  switch (mode) {
    case undefined:
    case 'disable':
      return mode && false
    case 'allow':
    case 'prefer':
      return 'prefer'
    case 'require':
      // As in libpq: with a certificate authority at hand it is `verify-ca`.
      return rootCertificate === undefined ? 'require' : verified(false, rootCertificate, variable)
    case 'verify-ca':
    case 'verify-full':
      return verified(mode === 'verify-full', rootCertificate, variable)
    default:
      throw new UsageError(`sslmode in ${variable} must be disable, prefer, require, verify-ca or verify-full`)
  }
}

/** @param rootCertificate A file; without one, or with `system`, the authorities that the system trusts. */
function verified(name: boolean, rootCertificate: string | undefined, variable: string): Tls {
  return {
    rejectUnauthorized: true,
    ...(rootCertificate === undefined || rootCertificate === 'system'
      ? {}
      : { ca: readFile(rootCertificate, variable) }),
    ...(name ? {} : { checkServerIdentity: () => undefined }),
  }
}

function readFile(path: string, variable: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    throw new UsageError(`sslrootcert in ${variable} cannot be read: ${(error as Error).message}`)
  }
}
