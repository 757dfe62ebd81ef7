import type { AccountTexts } from './en.ts'

export const account: AccountTexts = {
  tabApps: 'Applications',
  tabTokens: 'Jetons d’accès',
  tabPasskeys: 'Clés d’accès',
  tabBrowsers: 'Navigateurs',

  apps: 'Applications connectées',
  appsIntro: 'Ces applications peuvent agir en votre nom. Ce que vous déconnectez perd l’accès aussitôt.',
  noApps: 'Aucune application n’est connectée en votre nom.',
  olderConnections: 'Connexions utilisées moins récemment',
  latestConnections: 'Les dernières connexions utilisées',
  howToConnect: 'Comment connecter une application',
  connectedAt: 'Connexion',
  lastUsed: 'Dernière utilisation',
  notYet: 'pas encore',
  fromNetwork: '{time}, depuis {network}',
  until: 'Expire',
  rename: 'Renommer',
  connectionName: 'Nom, par exemple « portable »',
  save: 'Enregistrer',
  disconnect: 'Déconnecter',
  disconnectSure: '{app} perd l’accès aussitôt. Pour se reconnecter, elle devra vous le demander.',
  disconnectOneSure: 'Cette connexion de {app} prend fin aussitôt. Les autres restent actives.',
  disconnectAllOf: 'Déconnecter les {count}',
  disconnectAllOfSure:
    'Toutes les connexions de {app} prennent fin aussitôt, sur chaque appareil. Pour se reconnecter, elle devra vous le demander.',
  appDisconnected: '{app} est déconnectée.',
  oneDisconnected: 'Une connexion de {app} a pris fin.',
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

  tokens: 'Jetons d’accès personnels',
  tokensIntro:
    'Pour les scripts et les clients qui ne peuvent pas se connecter. Quiconque a un jeton peut agir en votre nom, dans la limite de ce qu’il permet.',
  noTokens: 'Vous n’avez aucun jeton.',
  makeToken: 'Créer un jeton',
  tokenName: 'Nom, par exemple « script de sauvegarde »',
  tokenDays: 'Jours avant son expiration',
  allowsWhat: 'Ce qu’il permet',
  tokenNeedsScope: 'Choisissez ce que permet le jeton.',
  expired: 'expiré',
  madeAt: 'Créé',
  revoke: 'Révoquer',
  revokeSure: 'Ce qui l’utilise cesse de fonctionner aussitôt.',
  tokenTitle: 'Le jeton {name}',
  shownOnce: 'Copiez-le maintenant : il ne sera plus affiché. Il expire : {time}.',
  backToTokens: 'Retour à vos jetons',
  tokenRevoked: 'Le jeton est révoqué. Il ne fonctionne plus.',
  noSuchToken: 'Ce jeton n’existe plus.',
  copy: 'Copier',
  copied: 'Copié',

  passkeysIntro:
    'Avec une clé d’accès, vous vous connectez par votre empreinte, votre visage ou le code PIN de votre appareil ou clé de sécurité, sans mot de passe ni lien. Elle ne fonctionne que sur ce serveur.',
  noPasskeys: 'Vous n’avez pas encore de clé d’accès.',
  addPasskey: 'Ajouter une clé d’accès',
  passkeyName: 'Nom, par exemple « portable » ou « clé de sécurité »',
  passkeyNotMade:
    'Aucune clé d’accès n’a été créée. Cet appareil en a peut-être déjà une, ou la demande a été annulée.',
  passkeyNeedsScript: 'L’ajout d’une clé d’accès nécessite JavaScript.',
  synchronised: 'synchronisée',
  addedAt: 'Ajoutée',
  remove: 'Retirer',
  removePasskeySure: 'Vous ne pourrez plus vous connecter avec elle. Supprimez-la aussi de votre appareil.',
  onlyWayIn: 'C’est votre seul moyen de vous connecter. Ajoutez une autre clé d’accès avant de la retirer.',
  passkeyAdded: 'La clé d’accès « {name} » est ajoutée. Vous pouvez désormais vous connecter avec elle.',
  passkeyRenamed: 'La clé d’accès est renommée.',
  noSuchPasskey: 'Cette clé d’accès n’existe pas.',
  passkeyRemoved: 'La clé d’accès « {name} » est retirée. Vous ne pouvez plus vous connecter avec elle.',
  passkeyKept: 'Rien n’a été retiré : cette clé d’accès n’existe pas, ou c’est votre seul moyen de vous connecter.',

  browsersIntro:
    'Vous êtes connecté dans ces navigateurs. Une déconnexion prend effet aussitôt ; les applications restent connectées.',
  thisOne: 'celui-ci',
  signedInAt: 'Connecté',
  browserOn: '{browser} sur {system}',
  aBrowser: 'Un navigateur',
  anotherBrowser: 'Un autre navigateur',
  browserSignedOut: 'Ce navigateur est déconnecté.',
  browserAlreadyOut: 'Ce navigateur était déjà déconnecté.',

  yourServers: 'Vos serveurs',
  yourServersIntro:
    'Ces serveurs ont besoin de votre propre compte. Liez-le une fois, et chaque application connectée en votre nom pourra l’utiliser.',
  linkAccount: 'Lier le compte',
  unlink: 'Dissocier',
  stateLinked: 'lié',
  stateWantsMore: 'demande plus d’accès',
  stateEnded: 'à lier de nouveau',
  stateNotLinked: 'non lié',
  atServer: 'Sur',
  asAccount: 'En tant que',
  linkedAt: 'Lié',
  serverLinkTitle: 'Lier votre compte sur {name} ?',
  serverLinkText:
    'Vous vous connecterez sur {place} puis reviendrez ici. Ensuite, chaque application connectée à ce serveur en tant que {email} pourra utiliser {name} avec ce compte.',
  serverMoved:
    'Jusqu’ici, vous vous connectiez sur {before}. Le serveur indique maintenant un autre endroit. Si vous ne savez pas pourquoi, demandez d’abord à l’opérateur de ce serveur.',
  signInPlace: 'Connexion',
  asksFor: 'Demande',
  serverLinkHint:
    'L’accès que vous accordez est enregistré sur ce serveur et envoyé seulement à {host}. Vous pouvez le dissocier à tout moment.',
  cancel: 'Annuler',
  serverLinkedTitle: 'Votre compte sur {name} est lié',
  serverLinkedText:
    'Vous pouvez fermer cette fenêtre et revenir à votre application : les outils sont maintenant disponibles.',
  serversAndApps: 'Vos serveurs et applications',
  linkAnother: 'Lier un autre compte',
  unlinked: 'Votre compte sur {name} est dissocié.',
}
