import type { AccountTexts } from './en.ts'

export const account: AccountTexts = {
  tabApps: 'Aplicaciones',
  tabTokens: 'Tokens de acceso',
  tabPasskeys: 'Llaves de acceso',
  tabBrowsers: 'Navegadores',

  apps: 'Aplicaciones conectadas',
  appsIntro: 'Estas aplicaciones pueden actuar en tu nombre. Lo que desconectes pierde el acceso de inmediato.',
  noApps: 'No hay ninguna aplicación conectada en tu nombre.',
  howToConnect: 'Cómo conectar una aplicación',
  connectedAt: 'Conectada',
  lastUsed: 'Último uso',
  notYet: 'todavía no',
  fromNetwork: '{time}, desde {network}',
  until: 'Hasta',
  rename: 'Renombrar',
  connectionName: 'Nombre, por ejemplo «portátil»',
  save: 'Guardar',
  disconnect: 'Desconectar',
  disconnectSure: '{app} pierde el acceso de inmediato. Para volver a conectarse tendrá que preguntarte.',
  disconnectAllOf: 'Desconectar las {count}',
  disconnectAllOfSure:
    'Todas las conexiones de {app} terminan de inmediato, en todos los dispositivos. Para volver a conectarse tendrá que preguntarte.',
  appDisconnected: '{app} está desconectada.',
  alreadyEnded: 'Esta conexión ya había terminado.',
  renamed: 'La conexión de {app} se llama ahora «{name}».',
  nameRemoved: 'La conexión de {app} ya no tiene nombre.',

  idle: 'Permitidas pero no conectadas',
  idleIntro:
    'Ya aprobaste estas aplicaciones. Mientras tengas la sesión iniciada aquí, pueden volver a conectarse sin preguntarte.',
  askAgain: 'Volver a preguntar',
  willAskAgain: '{app} te preguntará antes de volver a conectarse.',

  lostDevice: '¿Has perdido un dispositivo?',
  lostDeviceText: '¿O no reconoces una aplicación? Termina todo de una vez.',
  disconnectAll: 'Desconectar todas las aplicaciones',
  disconnectAllSure:
    'Todas las aplicaciones pierden el acceso de inmediato y tendrán que preguntarte para volver a conectarse. Tus tokens de acceso y navegadores se conservan.',
  allDisconnected: 'Todas las aplicaciones están desconectadas.',
  signOutEverywhere: 'Cerrar sesión en todas partes',
  signOutEverywhereSure:
    'Se cierra tu sesión en todos los navegadores, también en este. Todas las aplicaciones se desconectan y tus tokens de acceso se revocan.',
  signedOutEverywhere: 'Has cerrado sesión en todas partes y todas las aplicaciones están desconectadas.',

  tabData: 'Tus datos',
  exportTitle: 'Una copia de tus datos',
  exportText:
    'Todo lo que se guarda sobre ti, en un archivo JSON sin secretos: conexiones, tokens de acceso, llaves de acceso, navegadores, cuentas vinculadas y lo que el registro de auditoría contiene sobre ti.',
  download: 'Descargar',
  deleteAccount: 'Eliminar tu cuenta',
  deleteText:
    'Todo lo tuyo se elimina de inmediato. Se cierra tu sesión en todas partes, tus aplicaciones se desconectan, tus tokens y llaves de acceso dejan de funcionar y tus cuentas en otros servidores se desvinculan. No se puede deshacer.',
  auditStays:
    'Lo que queda: las entradas del registro de auditoría, durante {duration} como máximo. Contienen el número de tu cuenta y direcciones de red, no tu nombre ni tu correo.',
  auditStaysForever:
    'Lo que queda: las entradas del registro de auditoría. Contienen el número de tu cuenta y direcciones de red, no tu nombre ni tu correo.',
  typeAddress: 'Para confirmar, escribe tu dirección de correo: {email}',
  wrongAddress: 'Esa no es tu dirección de correo. No se ha eliminado nada.',
  onlyAdministrator:
    'Eres el único administrador de este servidor. Haz primero administrador a otra persona. No se ha eliminado nada.',
  accountDeleted: 'Tu cuenta se ha eliminado, con todo lo que era tuyo.',
  signInAgainFirst: 'Iniciaste sesión hace un rato. Para esto, primero {link}.',
  signInAgainLink: 'inicia sesión de nuevo',
}
