import type { AccountTexts } from './en.ts'

export const account: AccountTexts = {
  tabApps: 'Applications',
  tabTokens: 'Jetons d’accès',
  tabPasskeys: 'Clés d’accès',
  tabBrowsers: 'Navigateurs',

  apps: 'Applications connectées',
  appsIntro: 'Ces applications peuvent agir en votre nom. Ce que vous déconnectez perd l’accès aussitôt.',
  noApps: 'Aucune application n’est connectée en votre nom.',
  howToConnect: 'Comment connecter une application',
  connectedAt: 'Connexion',
  lastUsed: 'Dernière utilisation',
  notYet: 'pas encore',
  fromNetwork: '{time}, depuis {network}',
  until: 'Jusqu’à',
  rename: 'Renommer',
  connectionName: 'Nom, par exemple « portable »',
  save: 'Enregistrer',
  disconnect: 'Déconnecter',
  disconnectSure: '{app} perd l’accès aussitôt. Pour se reconnecter, elle devra vous le demander.',
  disconnectAllOf: 'Déconnecter les {count}',
  disconnectAllOfSure:
    'Toutes les connexions de {app} prennent fin aussitôt, sur chaque appareil. Pour se reconnecter, elle devra vous le demander.',
  appDisconnected: '{app} est déconnectée.',
  alreadyEnded: 'Cette connexion avait déjà pris fin.',
  renamed: 'La connexion de {app} s’appelle maintenant « {name} ».',
  nameRemoved: 'La connexion de {app} n’a plus de nom.',

  idle: 'Autorisées mais non connectées',
  idleIntro:
    'Vous avez déjà approuvé ces applications. Tant que votre session est ouverte ici, elles peuvent se reconnecter sans vous demander.',
  askAgain: 'Me redemander',
  willAskAgain: '{app} vous demandera avant de se reconnecter.',

  lostDevice: 'Un appareil perdu ?',
  lostDeviceText: 'Ou une application que vous ne reconnaissez pas ? Mettez fin à tout d’un coup.',
  disconnectAll: 'Déconnecter toutes les applications',
  disconnectAllSure:
    'Chaque application perd l’accès aussitôt et devra vous demander avant de se reconnecter. Vos jetons d’accès et vos navigateurs restent.',
  allDisconnected: 'Toutes les applications sont déconnectées.',
  signOutEverywhere: 'Se déconnecter partout',
  signOutEverywhereSure:
    'Votre session est fermée dans chaque navigateur, celui-ci compris. Chaque application est déconnectée, et vos jetons d’accès sont révoqués.',
  signedOutEverywhere: 'Vous êtes déconnecté partout, et chaque application est déconnectée.',

  tabData: 'Vos données',
  exportTitle: 'Une copie de vos données',
  exportText:
    'Tout ce qui est enregistré à votre sujet, dans un fichier JSON sans secrets : connexions, jetons d’accès, clés d’accès, navigateurs, comptes liés et ce que le journal d’audit contient sur vous.',
  download: 'Télécharger',
  deleteAccount: 'Supprimer votre compte',
  deleteText:
    'Tout ce qui est à vous est supprimé aussitôt. Vos sessions sont fermées partout, vos applications déconnectées, vos jetons et clés d’accès ne fonctionnent plus, et vos comptes sur d’autres serveurs sont dissociés. C’est irréversible.',
  auditStays:
    'Ce qui reste : les entrées du journal d’audit, pendant {duration} au plus. Elles contiennent le numéro de votre compte et des adresses réseau, pas votre nom ni votre adresse e-mail.',
  auditStaysForever:
    'Ce qui reste : les entrées du journal d’audit. Elles contiennent le numéro de votre compte et des adresses réseau, pas votre nom ni votre adresse e-mail.',
  typeAddress: 'Pour confirmer, saisissez votre adresse e-mail : {email}',
  wrongAddress: 'Ce n’est pas votre adresse e-mail. Rien n’a été supprimé.',
  onlyAdministrator:
    'Vous êtes le seul administrateur de ce serveur. Nommez d’abord un autre administrateur. Rien n’a été supprimé.',
  accountDeleted: 'Votre compte est supprimé, avec tout ce qui était à vous.',
  signInAgainFirst: 'Votre connexion date d’un moment. Pour cela, {link} d’abord.',
  signInAgainLink: 'reconnectez-vous',
}
