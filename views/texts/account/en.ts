/** English texts of a person's account; see `texts/en`. */
export const account = {
  tabApps: 'Apps',
  tabTokens: 'Access tokens',
  tabPasskeys: 'Passkeys',
  tabBrowsers: 'Browsers',

  // Connected apps
  apps: 'Connected apps',
  appsIntro: 'These apps can act as you. What you disconnect loses access at once.',
  noApps: 'No app is connected as you.',
  olderConnections: 'Connections used less recently',
  latestConnections: 'The connections used last',
  howToConnect: 'How to connect an app',
  connectedAt: 'Connected',
  lastUsed: 'Last used',
  notYet: 'not yet',
  fromNetwork: '{time}, from {network}',
  until: 'Expires',
  rename: 'Rename',
  connectionName: 'Name, such as “laptop”',
  save: 'Save',
  disconnect: 'Disconnect',
  disconnectSure: '{app} loses access at once. Before it can connect again, it has to ask you.',
  disconnectOneSure: 'This connection of {app} ends at once. Its other connections stay.',
  disconnectAllOf: 'Disconnect all {count}',
  disconnectAllOfSure:
    'All connections of {app} end at once, on every device. Before it can connect again, it has to ask you.',
  appDisconnected: '{app} is disconnected.',
  oneDisconnected: 'One connection of {app} has ended.',
  alreadyEnded: 'This connection had already ended.',
  renamed: 'The connection of {app} is now called “{name}”.',
  nameRemoved: 'The connection of {app} has no name any more.',

  // Apps that may connect without asking
  idle: 'Allowed but not connected',
  idleIntro:
    'You have approved these apps before. While you are signed in here, they can connect again without asking you.',
  askAgain: 'Ask me again',
  willAskAgain: '{app} will ask you before it connects again.',

  // Everything at once
  lostDevice: 'Lost a device?',
  lostDeviceText: 'Or do you not recognize an app? End everything at once.',
  disconnectAll: 'Disconnect all apps',
  disconnectAllSure:
    'Every app loses access at once and has to ask you before it connects again. Your access tokens and browsers stay.',
  allDisconnected: 'All apps are disconnected.',
  signOutEverywhere: 'Sign out everywhere',
  signOutEverywhereSure:
    'You are signed out in every browser, this one too. Every app is disconnected, and your access tokens are revoked.',
  signedOutEverywhere: 'You are signed out everywhere, and every app is disconnected.',

  // Their data
  tabData: 'Your data',
  exportTitle: 'A copy of your data',
  exportText:
    'Everything that is stored about you, as a JSON file without secrets: connections, access tokens, passkeys, browsers, linked accounts, and what the audit log has about you.',
  download: 'Download',
  deleteAccount: 'Delete your account',
  deleteText:
    'Everything of yours is deleted at once. You are signed out everywhere, your apps are disconnected, your access tokens and passkeys stop working, and your accounts at other servers are unlinked. This cannot be undone.',
  auditStays:
    'What stays: the entries of the audit log, for at most {duration}. They have the number of your account and network addresses, not your name or e-mail address.',
  auditStaysForever:
    'What stays: the entries of the audit log. They have the number of your account and network addresses, not your name or e-mail address.',
  typeAddress: 'To confirm, type your e-mail address: {email}',
  wrongAddress: 'That is not your e-mail address. Nothing was deleted.',
  onlyAdministrator:
    'You are the only administrator of this server. Make somebody else an administrator first. Nothing was deleted.',
  accountDeleted: 'Your account is deleted, with everything that was yours.',
  signInAgainFirst: 'You signed in a while ago. For this, {link} first.',
  signInAgainLink: 'sign in again',

  // Access tokens
  tokens: 'Personal access tokens',
  tokensIntro:
    'For scripts, and for clients that cannot sign in. Anyone who has a token can act as you, within what it allows.',
  noTokens: 'You have no tokens.',
  makeToken: 'Make a token',
  tokenName: 'Name, such as “backup script”',
  tokenDays: 'Days until it expires',
  allowsWhat: 'What it allows',
  tokenNeedsScope: 'Choose what the token allows.',
  expired: 'expired',
  madeAt: 'Made',
  revoke: 'Revoke',
  revokeSure: 'Whatever uses it stops working at once.',
  tokenTitle: 'The token {name}',
  shownOnce: 'Copy it now: it is not shown again. It expires {time}.',
  backToTokens: 'Back to your tokens',
  tokenRevoked: 'The token is revoked. It no longer works.',
  noSuchToken: 'There is no such token any more.',
  copy: 'Copy',
  copied: 'Copied',

  // Passkeys
  passkeysIntro:
    'With a passkey you sign in with your fingerprint, your face or the PIN of your device or security key, without a password or a link. It works only on this server.',
  noPasskeys: 'You have no passkey yet.',
  addPasskey: 'Add a passkey',
  passkeyName: 'Name, such as “laptop” or “security key”',
  passkeyNotMade: 'No passkey was made. Perhaps this device has one already, or the request was cancelled.',
  passkeyNeedsScript: 'Adding a passkey needs JavaScript.',
  synchronised: 'synchronized',
  addedAt: 'Added',
  remove: 'Remove',
  removePasskeySure: 'You can no longer sign in with it. Delete it on your device, too.',
  onlyWayIn: 'This is your only way to sign in. Add another passkey before you remove it.',
  passkeyAdded: 'The passkey “{name}” is added. You can sign in with it from now on.',
  passkeyRenamed: 'The passkey is renamed.',
  noSuchPasskey: 'There is no such passkey.',
  passkeyRemoved: 'The passkey “{name}” is removed. You cannot sign in with it any more.',
  passkeyKept: 'Nothing was removed: there is no such passkey, or it is your only way to sign in.',

  // Browsers
  browsersIntro:
    'You are signed in to these browsers. Signing one out takes effect at once; connected apps stay connected.',
  thisOne: 'this one',
  signedInAt: 'Signed in',
  browserOn: '{browser} on {system}',
  aBrowser: 'A browser',
  anotherBrowser: 'Another browser',
  browserSignedOut: 'That browser is signed out.',
  browserAlreadyOut: 'That browser was already signed out.',

  // Their accounts at upstream servers
  yourServers: 'Your servers',
  yourServersIntro:
    'These servers need your own account. Link it once, and every app that is connected as you can use it.',
  linkAccount: 'Link account',
  unlink: 'Unlink',
  stateLinked: 'linked',
  stateWantsMore: 'asks for more access',
  stateEnded: 'link it again',
  stateNotLinked: 'not linked',
  atServer: 'At',
  asAccount: 'As',
  linkedAt: 'Linked',
  serverLinkTitle: 'Link your account at {name}?',
  serverLinkText:
    'You will sign in at {place} and return here. Then every app that is connected to this server as {email} can use {name} with that account.',
  serverMoved:
    'Until now you signed in at {before}. The server names another place now. If you do not know why, ask the operator of this server first.',
  signInPlace: 'Sign-in',
  asksFor: 'Asks for',
  serverLinkHint:
    'The access that you grant is stored on this server and sent only to {host}. You can unlink it at any time.',
  cancel: 'Cancel',
  serverLinkedTitle: 'Your account at {name} is linked',
  serverLinkedText: 'You can close this window and return to your app: the tools are available now.',
  serversAndApps: 'Your servers and apps',
  linkAnother: 'Link another account',
  unlinked: 'Your account at {name} is unlinked.',
}

export type AccountTexts = { readonly [key in keyof typeof account]: string }
