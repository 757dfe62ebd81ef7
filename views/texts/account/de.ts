import type { AccountTexts } from './en.ts'

export const account: AccountTexts = {
  tabApps: 'Apps',
  tabTokens: 'Zugriffstoken',
  tabPasskeys: 'Passkeys',
  tabBrowsers: 'Browser',

  apps: 'Verbundene Apps',
  appsIntro: 'Diese Apps können in Ihrem Namen handeln. Was Sie trennen, verliert den Zugriff sofort.',
  noApps: 'In Ihrem Namen ist keine App verbunden.',
  olderConnections: 'Länger nicht benutzte Verbindungen',
  latestConnections: 'Die zuletzt benutzten Verbindungen',
  howToConnect: 'So verbinden Sie eine App',
  connectedAt: 'Verbunden',
  lastUsed: 'Zuletzt benutzt',
  notYet: 'noch nicht',
  fromNetwork: '{time}, von {network}',
  until: 'Läuft ab',
  rename: 'Umbenennen',
  connectionName: 'Name, etwa „Laptop“',
  save: 'Speichern',
  disconnect: 'Trennen',
  disconnectSure: '{app} verliert den Zugriff sofort. Bevor die App sich wieder verbindet, muss sie Sie fragen.',
  disconnectOneSure: 'Diese Verbindung von {app} endet sofort. Die anderen bleiben bestehen.',
  disconnectAllOf: 'Alle {count} trennen',
  disconnectAllOfSure:
    'Alle Verbindungen von {app} enden sofort, auf jedem Gerät. Bevor die App sich wieder verbindet, muss sie Sie fragen.',
  appDisconnected: '{app} ist getrennt.',
  oneDisconnected: 'Eine Verbindung von {app} ist beendet.',
  alreadyEnded: 'Diese Verbindung war schon beendet.',
  renamed: 'Die Verbindung von {app} heißt jetzt „{name}“.',
  nameRemoved: 'Die Verbindung von {app} hat keinen Namen mehr.',

  idle: 'Erlaubt, aber nicht verbunden',
  idleIntro:
    'Diese Apps haben Sie früher zugelassen. Solange Sie hier angemeldet sind, können sie sich wieder verbinden, ohne zu fragen.',
  askAgain: 'Wieder fragen',
  willAskAgain: '{app} wird Sie fragen, bevor die App sich wieder verbindet.',

  lostDevice: 'Gerät verloren?',
  lostDeviceText: 'Oder kennen Sie eine App nicht? Beenden Sie alles auf einmal.',
  disconnectAll: 'Alle Apps trennen',
  disconnectAllSure:
    'Jede App verliert den Zugriff sofort und muss Sie fragen, bevor sie sich wieder verbindet. Ihre Zugriffstoken und Browser bleiben.',
  allDisconnected: 'Alle Apps sind getrennt.',
  signOutEverywhere: 'Überall abmelden',
  signOutEverywhereSure:
    'Sie werden in jedem Browser abgemeldet, auch in diesem. Jede App wird getrennt, und Ihre Zugriffstoken werden widerrufen.',
  signedOutEverywhere: 'Sie sind überall abgemeldet, und jede App ist getrennt.',

  tabData: 'Ihre Daten',
  exportTitle: 'Eine Kopie Ihrer Daten',
  exportText:
    'Alles, was über Sie gespeichert ist, als JSON-Datei ohne Geheimnisse: Verbindungen, Zugriffstoken, Passkeys, Browser, verknüpfte Konten und was das Protokoll über Sie enthält.',
  download: 'Herunterladen',
  deleteAccount: 'Konto löschen',
  deleteText:
    'Alles, was Ihnen gehört, wird sofort gelöscht. Sie werden überall abgemeldet, Ihre Apps werden getrennt, Ihre Zugriffstoken und Passkeys gelten nicht mehr, und Ihre Konten bei anderen Servern werden gelöst. Das lässt sich nicht rückgängig machen.',
  auditStays:
    'Was bleibt: die Einträge des Protokolls, höchstens {duration}. Sie enthalten die Nummer Ihres Kontos und Netzadressen, nicht Ihren Namen oder Ihre E-Mail-Adresse.',
  auditStaysForever:
    'Was bleibt: die Einträge des Protokolls. Sie enthalten die Nummer Ihres Kontos und Netzadressen, nicht Ihren Namen oder Ihre E-Mail-Adresse.',
  typeAddress: 'Zur Bestätigung geben Sie Ihre E-Mail-Adresse ein: {email}',
  wrongAddress: 'Das ist nicht Ihre E-Mail-Adresse. Es wurde nichts gelöscht.',
  onlyAdministrator:
    'Sie sind der einzige Administrator dieses Servers. Machen Sie zuerst jemand anderen zum Administrator. Es wurde nichts gelöscht.',
  accountDeleted: 'Ihr Konto ist gelöscht, mit allem, was Ihnen gehörte.',
  signInAgainFirst: 'Ihre Anmeldung ist schon eine Weile her. Hierfür müssen Sie {link}.',
  signInAgainLink: 'sich neu anmelden',

  tokens: 'Persönliche Zugriffstoken',
  tokensIntro:
    'Für Skripte und für Programme, die sich nicht anmelden können. Wer ein Token hat, kann in Ihrem Namen handeln, soweit das Token es erlaubt.',
  noTokens: 'Sie haben kein Token.',
  makeToken: 'Token erstellen',
  tokenName: 'Name, etwa „Backup-Skript“',
  tokenDays: 'Tage, bis es abläuft',
  allowsWhat: 'Was es erlaubt',
  tokenNeedsScope: 'Wählen Sie, was das Token erlaubt.',
  expired: 'abgelaufen',
  madeAt: 'Erstellt',
  revoke: 'Widerrufen',
  revokeSure: 'Was es benutzt, funktioniert sofort nicht mehr.',
  tokenTitle: 'Das Token {name}',
  shownOnce: 'Kopieren Sie es jetzt: Es wird nicht noch einmal gezeigt. Es läuft ab: {time}.',
  backToTokens: 'Zurück zu Ihren Token',
  tokenRevoked: 'Das Token ist widerrufen und gilt nicht mehr.',
  noSuchToken: 'Dieses Token gibt es nicht mehr.',
  copy: 'Kopieren',
  copied: 'Kopiert',

  passkeysIntro:
    'Mit einem Passkey melden Sie sich per Fingerabdruck, Gesicht oder PIN Ihres Geräts oder Sicherheitsschlüssels an, ohne Passwort oder Link. Er gilt nur auf diesem Server.',
  noPasskeys: 'Sie haben noch keinen Passkey.',
  addPasskey: 'Passkey hinzufügen',
  passkeyName: 'Name, etwa „Laptop“ oder „Sicherheitsschlüssel“',
  passkeyNotMade: 'Es wurde kein Passkey erstellt. Vielleicht hat dieses Gerät schon einen, oder es wurde abgebrochen.',
  passkeyNeedsScript: 'Um einen Passkey hinzuzufügen, ist JavaScript nötig.',
  synchronised: 'synchronisiert',
  addedAt: 'Hinzugefügt',
  remove: 'Entfernen',
  removePasskeySure: 'Sie können sich nicht mehr damit anmelden. Löschen Sie ihn auch auf Ihrem Gerät.',
  onlyWayIn: 'Das ist Ihr einziger Weg, sich anzumelden. Fügen Sie zuerst einen anderen Passkey hinzu.',
  passkeyAdded: 'Der Passkey „{name}“ ist hinzugefügt. Ab jetzt können Sie sich damit anmelden.',
  passkeyRenamed: 'Der Passkey ist umbenannt.',
  noSuchPasskey: 'Diesen Passkey gibt es nicht.',
  passkeyRemoved: 'Der Passkey „{name}“ ist entfernt. Sie können sich nicht mehr damit anmelden.',
  passkeyKept: 'Es wurde nichts entfernt: Diesen Passkey gibt es nicht, oder er ist Ihr einziger Weg, sich anzumelden.',

  browsersIntro:
    'In diesen Browsern sind Sie angemeldet. Eine Abmeldung wirkt sofort; verbundene Apps bleiben verbunden.',
  thisOne: 'dieser',
  signedInAt: 'Angemeldet',
  browserOn: '{browser} auf {system}',
  aBrowser: 'Ein Browser',
  anotherBrowser: 'Ein anderer Browser',
  browserSignedOut: 'Dieser Browser ist abgemeldet.',
  browserAlreadyOut: 'Dieser Browser war schon abgemeldet.',

  yourServers: 'Ihre Server',
  yourServersIntro:
    'Diese Server brauchen Ihr eigenes Konto. Verknüpfen Sie es einmal, und jede App, die in Ihrem Namen verbunden ist, kann es benutzen.',
  linkAccount: 'Konto verknüpfen',
  unlink: 'Verknüpfung lösen',
  stateLinked: 'verknüpft',
  stateWantsMore: 'verlangt mehr Zugriff',
  stateEnded: 'neu verknüpfen',
  stateNotLinked: 'nicht verknüpft',
  atServer: 'Bei',
  asAccount: 'Als',
  linkedAt: 'Verknüpft',
  serverLinkTitle: 'Ihr Konto bei {name} verknüpfen?',
  serverLinkText:
    'Sie melden sich bei {place} an und kehren hierher zurück. Danach kann jede App, die als {email} mit diesem Server verbunden ist, {name} mit jenem Konto benutzen.',
  serverMoved:
    'Bisher haben Sie sich bei {before} angemeldet. Der Server nennt jetzt einen anderen Ort. Wenn Sie nicht wissen, warum, fragen Sie zuerst den Betreiber dieses Servers.',
  signInPlace: 'Anmeldung',
  asksFor: 'Verlangt',
  serverLinkHint:
    'Der Zugriff, den Sie gewähren, wird auf diesem Server gespeichert und nur an {host} gesendet. Sie können ihn jederzeit lösen.',
  cancel: 'Abbrechen',
  serverLinkedTitle: 'Ihr Konto bei {name} ist verknüpft',
  serverLinkedText:
    'Sie können dieses Fenster schließen und zu Ihrer App zurückkehren: Die Werkzeuge sind jetzt verfügbar.',
  serversAndApps: 'Ihre Server und Apps',
  linkAnother: 'Anderes Konto verknüpfen',
  unlinked: 'Die Verknüpfung mit Ihrem Konto bei {name} ist gelöst.',
}
