/** English: the catalogue that the others translate. `{name}` is a placeholder. */
export const en = {
  // The layout
  skip: 'Skip to the content',
  account: 'Account',
  administration: 'Administration',
  signIn: 'Sign in',
  signOut: 'Sign out',
  signedInAs: 'Signed in as {email}',
  signedOut: 'You are signed out.',

  // An app, and what it asks for
  addedByOperator: 'added by the operator',
  fromHost: 'from {host}',
  unverifiedName: 'unverified name',
  aboutOperator: 'The operator of this server added this app.',
  aboutHost: 'Verified: {host} vouches for this app.',
  aboutNobody: 'The app chose this name itself. Anyone can use it, so it proves nothing.',
  asksForAccess: '{app} asks for access as {email}.',
  willBeAbleTo: 'It will be able to',
  chooseOne: 'Choose at least one permission, or deny the request.',
  onlyAdministrators: 'Only an administrator can allow what this app asks for. You can deny it.',
  server: 'Server',
  requested: 'Requested',
  from: 'From',
  sameNetwork: 'the network that you are in now',
  callsItself: 'The program calls itself “{agent}”.',
  unknown: 'unknown',
  lasts: 'Lasts',
  atMost: 'at most {duration}; you can disconnect it at any time',
  returnsTo: 'Returns to',
  thisComputer: 'this computer',
  appOnDevice: 'an app on this device ({scheme})',
  alreadyConnected:
    'This app is already connected as you, last used {time}. That connection stays; you can end it in your account.',
  tools: 'Tools: {count}, on {servers}',
  silentServers: 'Also included, but not answering at the moment: {servers}',
  destructive: 'can change or delete things',
  deny: 'Deny',
  approve: 'Approve',
  continueOnPhone: 'Continue on your phone',
  scanCode: 'Scan this with your phone’s camera, and sign in there.',

  // Permissions
  'mcp:tools:read': 'See which tools you can use',
  'mcp:tools:call': 'Use tools as you',
  'mcp:resources:read': 'Read the resources that you have access to',
  'mcp:prompts:read': 'Read the prompts that you have access to',
  mcp: 'Use all tools, resources and prompts that you have access to',
  'connections:manage': 'Disconnect other apps that are connected as you',
  offline_access: 'Stay connected while you are away',
  admin: 'Search the audit log of this server, as an administrator',

  // Signing in
  withPasskey: 'Sign in with a passkey',
  noPasskey: 'No passkey was used. Try again, or sign in another way.',
  signInTo: 'Sign in to {site}',
  appWaits: '{app} is waiting. After you have signed in, you will see what it asks for.',
  deviceWaits: 'A device is waiting with the code {code}. After you have signed in, you will see what it asks for.',
  continueWith: 'Continue with {provider}',
  operatorDecides: 'The operator of this server decides who has access.',
  alreadySignedIn: 'You are signed in as {email}.',
  goOn: 'Continue',
  signInAgain: 'Sign in again to continue.',
  orSomebodyElse: 'Or sign in again, as somebody else:',
  needsLink:
    'This server signs people in with one-time links. Open the link that its operator gave you in this browser; you will return to this page.',
  areYouOperator: 'Are you the operator?',
  newLink: 'The server prints a link when it starts. This command prints another one:',
  linkTitle: 'Sign in as {email}?',
  linkText: 'This link signs this browser in to {site}, once. If somebody sent it to you unasked, close this page.',
  oneMoment: 'One moment',
  continueTo: 'Continue to {place}',
  theApp: 'the app',

  // The code of a device
  connectDevice: 'Connect a device',
  enterCode: 'Enter the code shown on your device.',
  checkCode: 'Check that your device shows this code.',
  code: 'Code',
  sentByOthers: 'Did somebody else send you this code or link? Then close this page: they would get access as you.',
  wrongCode:
    'No device is waiting with this code. Compare it with the code on your device; a code works once and expires after a few minutes.',
  triesLeft: 'Tries left: {count}.',
  tooManyCodes: 'Too many wrong codes. Wait {duration}, then start again on your device.',
  tooManyCodesNetwork:
    'Too many wrong codes were entered from your network, not necessarily by you. Wait {duration}, then start again on your device.',
  didYouStart: 'Did you start this?',
  mustShowCode: 'Your device must show this code',
  onlyIfStarted: 'Approve only if you have just started this yourself and your device shows the same code.',
  approved: 'Approved',
  waitingFor: 'Waiting for {app} to connect. This takes a few seconds.',
  seeWhether: 'See whether it has connected',
  connected: 'Connected',
  nowHasAccess: '{app} now has access. You can close this page and go back to your device.',
  yourApps: 'Your connected apps',
  denied: 'Denied',
  gotNoAccess: '{app} did not get access.',
  notStartedByYou:
    'If you did not start this, there is nothing else to do. Be careful with whoever gave you the code or the link.',
  anotherCode: 'Enter another code',
  codeExpired: 'This code has expired',
  startAgain: 'Nothing was approved. Start again on your device and enter the new code.',

  // An app in a browser
  connectApp: 'Connect this app?',
  impostor:
    'The response goes to {destination}, where any program can impersonate {app}. Nothing proves that this request comes from it.',
  onlyIfStartedApp: 'Approve only if you have just started this in the app yourself.',
  sentBack: 'You are being sent back to {destination}.',
  ifNothing: 'If nothing happens, {link}.',
  mayClose: 'If the app is already connected, you can close this window.',
  continueManually: 'continue manually',
  invalidRequest: 'This app sent an invalid request',
  requestRefused: '{app} did not get access. Its request was refused:',
  returnWithError:
    'If you started this in the app, you can return to it with this error. If you did not, close this window.',
  goTo: 'Go to {destination}',

  // Errors
  reference: 'Reference: {id}',
  frontPage: 'Front page',
  tryAgain: 'Try again',

  // The front page
  homeTitle: 'Connect your apps',
  homeIntro:
    'This is an MCP server: apps that speak the Model Context Protocol connect to its address and use the tools behind it. Each app asks you first, and you can disconnect it at any time.',
  enterDeviceCode: 'Enter a device code',
  setUpApp: 'Set up your app',
  singleServers: 'Single servers',
  singleServersText:
    'The address above leads to all of these at once. To give an app only one of them, use its own address instead.',
  thenType: 'Then type {command} in {app} to sign in.',
  thenRun: 'Then sign in: {command}',
  signsYouIn: 'It signs you in. To sign in again later: {command}',
  startThenType: 'Then start {program} in the same directory and type {command}',
  addToApp: 'Add to {app}',
  orPutInto: 'Or put this into {file}:',
  inSettings: 'In the settings, choose {place} and enter this address. The server must be reachable from the internet.',
  inspectorSteps: 'It opens a page: choose {place}, enter this address, and turn the switch on its card on.',
  fileApps: 'Apps with an mcpServers file',
  onlyPrograms: 'If the app can only start programs, this one connects for it:',
  linkInLog: 'It writes a link to the app’s log. Open the link on any device, such as your phone.',
  forScripts: 'A script, or a machine without a browser',
  scriptsText: 'It prints a link and a code to open on another device. With {option} it prints the tokens.',
}

export type TextKey = keyof typeof en
export type Texts = { readonly [key in TextKey]: string }
