import type { AccountTexts } from './en.ts'

export const account: AccountTexts = {
  tabApps: 'Apps',
  tabTokens: 'Zugriffstoken',
  tabPasskeys: 'Passkeys',
  tabBrowsers: 'Browser',

  apps: 'Verbundene Apps',
  appsIntro: 'Diese Apps können in Ihrem Namen handeln. Was Sie trennen, verliert den Zugriff sofort.',
  noApps: 'In Ihrem Namen ist keine App verbunden.',
  howToConnect: 'So verbinden Sie eine App',
  connectedAt: 'Verbunden',
  lastUsed: 'Zuletzt benutzt',
  notYet: 'noch nicht',
  fromNetwork: '{time}, von {network}',
  until: 'Bis',
  rename: 'Umbenennen',
  connectionName: 'Name, etwa „Laptop“',
  save: 'Speichern',
  disconnect: 'Trennen',
  disconnectSure: '{app} verliert den Zugriff sofort. Bevor die App sich wieder verbindet, muss sie Sie fragen.',
  disconnectAllOf: 'Alle {count} trennen',
  disconnectAllOfSure:
    'Alle Verbindungen von {app} enden sofort, auf jedem Gerät. Bevor die App sich wieder verbindet, muss sie Sie fragen.',
  appDisconnected: '{app} ist getrennt.',
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
}
