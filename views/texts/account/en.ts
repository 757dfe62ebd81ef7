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
  howToConnect: 'How to connect an app',
  connectedAt: 'Connected',
  lastUsed: 'Last used',
  notYet: 'not yet',
  fromNetwork: '{time}, from {network}',
  until: 'Until',
  rename: 'Rename',
  connectionName: 'Name, such as “laptop”',
  save: 'Save',
  disconnect: 'Disconnect',
  disconnectSure: '{app} loses access at once. Before it can connect again, it has to ask you.',
  disconnectAllOf: 'Disconnect all {count}',
  disconnectAllOfSure:
    'All connections of {app} end at once, on every device. Before it can connect again, it has to ask you.',
  appDisconnected: '{app} is disconnected.',
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
}

export type AccountTexts = { readonly [key in keyof typeof account]: string }
