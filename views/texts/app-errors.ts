/** The part of `errors.ts` about apps and their requests. */

export type Translations = readonly [de: string, es: string, fr: string, ja: string, zh: string]

export const APP_ERRORS: Readonly<Record<string, Translations>> = {
  'This no longer exists': [
    'Das gibt es nicht mehr',
    'Esto ya no existe',
    'Cela n’existe plus',
    'これはもう存在しません',
    '此内容已不存在',
  ],
  'It was removed in the meantime. Start again.': [
    'Es wurde inzwischen entfernt. Beginnen Sie neu.',
    'Se ha eliminado entretanto. Empieza de nuevo.',
    'Cela a été supprimé entre-temps. Recommencez.',
    'その間に削除されました。最初からやり直してください。',
    '它在此期间已被删除。请重新开始。',
  ],
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
  'The app is described by a document at {host}, and that document {reason}. Try again later. If this server has no internet access, its operator can set CLIENT_METADATA_DOCUMENTS=false; apps then register instead, or get a client id from the operator.':
    [
      'Die App wird in einem Dokument auf {host} beschrieben, das nicht zu laden war („that document {reason}“). Versuchen Sie es später erneut. Hat dieser Server keinen Zugang zum Internet, kann sein Betreiber CLIENT_METADATA_DOCUMENTS=false setzen; Apps registrieren sich dann, oder der Betreiber gibt ihnen eine Client-ID.',
      'La aplicación se describe en un documento de {host} que no se pudo cargar («that document {reason}»). Inténtalo de nuevo más tarde. Si este servidor no tiene acceso a internet, su operador puede definir CLIENT_METADATA_DOCUMENTS=false; entonces las aplicaciones se registran o reciben un id de cliente del operador.',
      'L’application est décrite par un document sur {host} qui n’a pas pu être chargé (« that document {reason} »). Réessayez plus tard. Si ce serveur n’a pas accès à internet, son opérateur peut définir CLIENT_METADATA_DOCUMENTS=false ; les applications s’enregistrent alors, ou reçoivent un identifiant client de l’opérateur.',
      'アプリの情報を記した {host} の文書を読み込めませんでした (that document {reason})。しばらくしてからもう一度試してください。このサーバーがインターネットに接続できない場合、管理者は CLIENT_METADATA_DOCUMENTS=false を設定できます。その場合、アプリは登録を行うか、管理者からクライアントIDを受け取ります。',
      '应用由 {host} 上的文档描述，但无法加载该文档（that document {reason}）。请稍后重试。如果本服务器无法访问互联网，其运营者可以设置 CLIENT_METADATA_DOCUMENTS=false；之后应用会自行注册，或从运营者处获得客户端 ID。',
    ],
  'The app is described by a document at {host}, but this server does not fetch such documents (CLIENT_METADATA_DOCUMENTS=false). Remove this server from the app and add it again, so that the app registers, or give the app a client id from the operator.':
    [
      'Die App wird in einem Dokument auf {host} beschrieben, aber dieser Server lädt solche Dokumente nicht (CLIENT_METADATA_DOCUMENTS=false). Entfernen Sie diesen Server aus der App, und fügen Sie ihn wieder hinzu, damit sie sich registriert, oder geben Sie der App eine Client-ID vom Betreiber.',
      'La aplicación se describe en un documento de {host}, pero este servidor no carga esos documentos (CLIENT_METADATA_DOCUMENTS=false). Quita este servidor de la aplicación y añádelo de nuevo para que se registre, o dale un id de cliente del operador.',
      'L’application est décrite par un document sur {host}, mais ce serveur ne charge pas de tels documents (CLIENT_METADATA_DOCUMENTS=false). Retirez ce serveur de l’application et ajoutez-le de nouveau pour qu’elle s’enregistre, ou donnez-lui un identifiant client de l’opérateur.',
      'アプリの情報は {host} の文書に記されていますが、このサーバーはそのような文書を読み込みません (CLIENT_METADATA_DOCUMENTS=false)。アプリからこのサーバーを削除して追加し直すと、アプリが登録を行います。または、管理者から受け取ったクライアントIDをアプリに設定してください。',
      '应用由 {host} 上的文档描述，但本服务器不加载此类文档（CLIENT_METADATA_DOCUMENTS=false）。请从应用中移除本服务器后重新添加，以便应用自行注册，或为应用设置运营者提供的客户端 ID。',
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
