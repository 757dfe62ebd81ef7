/** An authenticator without a device (WebAuthn Level 3): one passkey, with the answers that a browser would send. */
import { createHash, generateKeyPairSync, randomBytes, sign } from 'node:crypto'
import { isoCBOR } from '@simplewebauthn/server/helpers'

const sha256 = (bytes: string | Uint8Array) => createHash('sha256').update(bytes).digest()
const [PRESENT_AND_VERIFIED, WITH_CREDENTIAL] = [0x05, 0x40]

/** @param origin The address of the page. */
export function softwarePasskey(origin: string) {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const { x, y } = publicKey.export({ format: 'jwk' })
  const bytesOf = (text = '') => new Uint8Array(Buffer.from(text, 'base64url'))
  // A COSE key (RFC 9053 7.1): EC2, ES256, P-256.
  const cose = new Map<number, number | Uint8Array>()
  for (const [label, value] of [
    ...([
      [1, 2],
      [3, -7],
      [-1, 1],
    ] as const),
    ...([
      [-2, bytesOf(x)],
      [-3, bytesOf(y)],
    ] as const),
  ])
    cose.set(label, value)
  const id = randomBytes(32)

  const dataOf = (flags: number, more: Uint8Array = Buffer.alloc(0)) =>
    Buffer.concat([sha256(new URL(origin).hostname), Buffer.from([flags, 0, 0, 0, 0]), more])
  const clientData = (type: string, challenge: string) => Buffer.from(JSON.stringify({ type, challenge, origin }))
  const credential = (response: Record<string, Buffer>) =>
    JSON.stringify({
      id: id.toString('base64url'),
      rawId: id.toString('base64url'),
      type: 'public-key',
      clientExtensionResults: {},
      response: Object.fromEntries(
        Object.entries(response).map(([name, bytes]) => [name, bytes.toString('base64url')]),
      ),
    })

  return {
    /** What a page gets that adds it. */
    make(challenge: string): string {
      const length = Buffer.from([0, id.length])
      const attested = Buffer.concat([Buffer.alloc(16), length, id, isoCBOR.encode(cose)])
      const authData = new Uint8Array(dataOf(PRESENT_AND_VERIFIED | WITH_CREDENTIAL, attested))
      const attestation = new Map<string, unknown>([
        ['fmt', 'none'],
        ['attStmt', new Map()],
        ['authData', authData],
      ])
      return credential({
        clientDataJSON: clientData('webauthn.create', challenge),
        attestationObject: Buffer.from(isoCBOR.encode(attestation as Parameters<typeof isoCBOR.encode>[0])),
      })
    },
    /** What a page gets that signs in with it. */
    use(challenge: string): string {
      const [authenticatorData, clientDataJSON] = [dataOf(PRESENT_AND_VERIFIED), clientData('webauthn.get', challenge)]
      const signature = sign('sha256', Buffer.concat([authenticatorData, sha256(clientDataJSON)]), privateKey)
      return credential({ clientDataJSON, authenticatorData, signature })
    },
  }
}
