/** The part of `errors.ts` about apps and their requests. */

export type Translations = readonly [de: string, es: string, fr: string, ja: string, zh: string]

export const APP_ERRORS: Readonly<Record<string, Translations>> = {
  'This server does not know this app': [
    'Dieser Server kennt diese App nicht',
    'Este servidor no conoce esta aplicación',
    'Ce serveur ne connaît pas cette application',
    'このサーバーはこのアプリを知りません',
    '此服务器不认识此应用',
  ],
  'Go back to the app and connect again, so that it registers again. If that does not help, contact its developers.': [
    'Kehren Sie zur App zurück, und verbinden Sie sie neu, damit sie sich wieder registriert. Hilft das nicht, wenden Sie sich an ihre Entwickler.',
    'Vuelve a la aplicación y conéctala de nuevo, para que se registre otra vez. Si no sirve, contacta con sus desarrolladores.',
    'Revenez à l’application et reconnectez-la, afin qu’elle s’inscrive à nouveau. Si cela ne suffit pas, contactez ses développeurs.',
    'アプリに戻って接続し直し、もう一度登録させてください。解決しない場合は、アプリの開発者に連絡してください。',
    '请回到应用重新连接，使其重新注册。如果仍无效，请联系其开发者。',
  ],
  'This server could not load information about the app': [
    'Dieser Server konnte die Angaben zur App nicht laden',
    'Este servidor no pudo cargar la información de la aplicación',
    'Ce serveur n’a pas pu charger les informations de l’application',
    'アプリの情報を読み込めませんでした',
    '此服务器无法加载应用的信息',
  ],
  'This app uses a redirect address that it did not register': [
    'Diese App verwendet eine Rücksprungadresse, die sie nicht registriert hat',
    'Esta aplicación usa una dirección de retorno que no registró',
    'Cette application utilise une adresse de retour qu’elle n’a pas déclarée',
    'このアプリは登録していないリダイレクト先を使っています',
    '此应用使用了未注册的重定向地址',
  ],
  'Nothing was sent. Go back to the app and connect again. If that does not help, contact its developers.': [
    'Es wurde nichts gesendet. Kehren Sie zur App zurück, und verbinden Sie sie neu. Hilft das nicht, wenden Sie sich an ihre Entwickler.',
    'No se ha enviado nada. Vuelve a la aplicación y conéctala de nuevo. Si no sirve, contacta con sus desarrolladores.',
    'Rien n’a été envoyé. Revenez à l’application et reconnectez-la. Si cela ne suffit pas, contactez ses développeurs.',
    '何も送信されていません。アプリに戻って接続し直してください。解決しない場合は、アプリの開発者に連絡してください。',
    '没有发送任何内容。请回到应用重新连接。如果仍无效，请联系其开发者。',
  ],
  'This app’s request is too long': [
    'Die Anfrage dieser App ist zu lang',
    'La solicitud de esta aplicación es demasiado larga',
    'La demande de cette application est trop longue',
    'このアプリの要求は長すぎます',
    '此应用的请求过长',
  ],
  'This request has expired': [
    'Diese Anfrage ist abgelaufen',
    'Esta solicitud ha caducado',
    'Cette demande a expiré',
    'この要求は期限切れです',
    '此请求已过期',
  ],
  'Go back to the app and connect again. A request is valid for half an hour.': [
    'Kehren Sie zur App zurück, und verbinden Sie sie neu. Eine Anfrage gilt eine halbe Stunde.',
    'Vuelve a la aplicación y conéctala de nuevo. Una solicitud vale media hora.',
    'Revenez à l’application et reconnectez-la. Une demande est valable une demi-heure.',
    'アプリに戻って接続し直してください。要求は30分間有効です。',
    '请回到应用重新连接。请求的有效期为半小时。',
  ],
  'You have already answered this request': [
    'Sie haben diese Anfrage schon beantwortet',
    'Ya has respondido a esta solicitud',
    'Vous avez déjà répondu à cette demande',
    'この要求にはすでに回答しています',
    '您已回应过此请求',
  ],
  'Go back to the app. If it is still waiting, connect again from there.': [
    'Kehren Sie zur App zurück. Wartet sie noch, verbinden Sie sie von dort aus neu.',
    'Vuelve a la aplicación. Si sigue esperando, conéctala de nuevo desde allí.',
    'Revenez à l’application. Si elle attend encore, reconnectez-la de là.',
    'アプリに戻ってください。まだ待っている場合は、アプリから接続し直してください。',
    '请回到应用。如果它仍在等待，请从那里重新连接。',
  ],
  'There is no such request': [
    'Diese Anfrage gibt es nicht',
    'Esta solicitud no existe',
    'Cette demande n’existe pas',
    'その要求はありません',
    '没有这个请求',
  ],
  'Enter the code shown on your device.': [
    'Geben Sie den Code ein, den Ihr Gerät zeigt.',
    'Escribe el código que muestra tu dispositivo.',
    'Saisissez le code affiché sur votre appareil.',
    '端末に表示されているコードを入力してください。',
    '请输入设备上显示的代码。',
  ],
  'This app was not connected': [
    'Diese App wurde nicht verbunden',
    'Esta aplicación no se ha conectado',
    'Cette application n’a pas été connectée',
    'このアプリは接続されませんでした',
    '此应用未连接',
  ],
  'You have just signed out or disconnected it. Connect it again.': [
    'Sie haben sich eben abgemeldet oder die App getrennt. Verbinden Sie sie neu.',
    'Acabas de cerrar la sesión o de desconectarla. Conéctala de nuevo.',
    'Vous venez de vous déconnecter ou de la déconnecter. Reconnectez-la.',
    'サインアウトしたか、アプリを切断したところです。もう一度接続してください。',
    '您刚刚退出登录或断开了它。请重新连接。',
  ],
}
