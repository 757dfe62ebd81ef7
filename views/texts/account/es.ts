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
  until: 'Caduca',
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

  tokens: 'Tokens de acceso personales',
  tokensIntro:
    'Para scripts y para clientes que no pueden iniciar sesión. Quien tenga un token puede actuar en tu nombre, en la medida en que lo permita.',
  noTokens: 'No tienes ningún token.',
  makeToken: 'Crear un token',
  tokenName: 'Nombre, por ejemplo «script de copias»',
  tokenDays: 'Días hasta que caduque',
  allowsWhat: 'Qué permite',
  tokenNeedsScope: 'Elige qué permite el token.',
  expired: 'caducado',
  madeAt: 'Creado',
  revoke: 'Revocar',
  revokeSure: 'Lo que lo use deja de funcionar de inmediato.',
  tokenTitle: 'El token {name}',
  shownOnce: 'Cópialo ahora: no se volverá a mostrar. Caduca: {time}.',
  backToTokens: 'Volver a tus tokens',
  tokenRevoked: 'El token está revocado. Ya no funciona.',
  noSuchToken: 'Ese token ya no existe.',
  copy: 'Copiar',
  copied: 'Copiado',

  passkeysIntro:
    'Con una llave de acceso inicias sesión con tu huella, tu cara o el PIN de tu dispositivo o llave de seguridad, sin contraseña ni enlace. Solo funciona en este servidor.',
  noPasskeys: 'Todavía no tienes ninguna llave de acceso.',
  addPasskey: 'Añadir una llave de acceso',
  passkeyName: 'Nombre, por ejemplo «portátil» o «llave de seguridad»',
  passkeyNotMade: 'No se creó ninguna llave de acceso. Quizá este dispositivo ya tiene una o se canceló la operación.',
  passkeyNeedsScript: 'Para añadir una llave de acceso se necesita JavaScript.',
  synchronised: 'sincronizada',
  addedAt: 'Añadida',
  remove: 'Quitar',
  removePasskeySure: 'Ya no podrás iniciar sesión con ella. Elimínala también de tu dispositivo.',
  onlyWayIn: 'Es tu única forma de iniciar sesión. Añade otra llave de acceso antes de quitarla.',
  passkeyAdded: 'La llave de acceso «{name}» se ha añadido. Ya puedes iniciar sesión con ella.',
  passkeyRenamed: 'La llave de acceso tiene un nombre nuevo.',
  noSuchPasskey: 'No existe esa llave de acceso.',
  passkeyRemoved: 'La llave de acceso «{name}» se ha quitado. Ya no puedes iniciar sesión con ella.',
  passkeyKept: 'No se ha quitado nada: no existe esa llave de acceso o es tu única forma de iniciar sesión.',

  browsersIntro:
    'Tienes la sesión iniciada en estos navegadores. Cerrarla tiene efecto inmediato; las aplicaciones siguen conectadas.',
  thisOne: 'este',
  signedInAt: 'Sesión iniciada',
  browserOn: '{browser} en {system}',
  aBrowser: 'Un navegador',
  anotherBrowser: 'Otro navegador',
  browserSignedOut: 'Se ha cerrado la sesión en ese navegador.',
  browserAlreadyOut: 'La sesión en ese navegador ya estaba cerrada.',

  yourServers: 'Tus servidores',
  yourServersIntro:
    'Estos servidores necesitan tu propia cuenta. Vincúlala una vez y podrán usarla todas las aplicaciones conectadas en tu nombre.',
  linkAccount: 'Vincular cuenta',
  unlink: 'Desvincular',
  stateLinked: 'vinculada',
  stateWantsMore: 'pide más acceso',
  stateEnded: 'vincúlala de nuevo',
  stateNotLinked: 'sin vincular',
  atServer: 'En',
  asAccount: 'Como',
  linkedAt: 'Vinculada',
  serverLinkTitle: '¿Vincular tu cuenta en {name}?',
  serverLinkText:
    'Iniciarás sesión en {place} y volverás aquí. Después, todas las aplicaciones conectadas a este servidor como {email} podrán usar {name} con esa cuenta.',
  serverMoved:
    'Hasta ahora iniciabas sesión en {before}. El servidor indica ahora otro lugar. Si no sabes por qué, pregunta primero al operador de este servidor.',
  signInPlace: 'Inicio de sesión',
  asksFor: 'Pide',
  serverLinkHint:
    'El acceso que concedes se guarda en este servidor y solo se envía a {host}. Puedes desvincularlo en cualquier momento.',
  cancel: 'Cancelar',
  serverLinkedTitle: 'Tu cuenta en {name} está vinculada',
  serverLinkedText: 'Puedes cerrar esta ventana y volver a tu aplicación: las herramientas ya están disponibles.',
  serversAndApps: 'Tus servidores y aplicaciones',
  linkAnother: 'Vincular otra cuenta',
  unlinked: 'Tu cuenta en {name} está desvinculada.',
}
