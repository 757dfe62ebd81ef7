/** English: the catalogue that the others translate. `{name}` is a placeholder. */
export const en = {
  skip: 'Skip to the content',
  account: 'Account',
  signIn: 'Sign in',
  signOut: 'Sign out',
  signedInAs: 'Signed in as {email}',
}
