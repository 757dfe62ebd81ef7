/** What every part of the suite speaks of. */

export const DEVICE_CODE_GRANT = 'urn:ietf:params:oauth:grant-type:device_code'

export interface Client {
  id: string
  secret?: string | undefined
}

export interface Device {
  deviceCode: string
  userCode: string
  verificationUri: string
  verificationUriComplete: string | undefined
  /** Seconds. */
  expiresIn: number
  interval: number
}

export type Decision = 'approve' | 'deny'
export type Approve = (device: Device, decision: Decision) => Promise<void>

/** Ends a check whose ground is missing, such as a device code to poll with; what is missing has a requirement of its own. */
export class Unchecked extends Error {
  constructor(
    readonly outcome: 'not offered' | 'not tested',
    message: string,
  ) {
    super(message)
    this.name = 'Unchecked'
  }
}

/** The run itself cannot go on: wrong options, or a way to approve that does not work. */
export class BrokenRun extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'BrokenRun'
  }
}
