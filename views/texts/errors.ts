/** The errors that a connecting person sees, translated by their English sentences; other sentences stay English. */
import { ACCOUNT_ERRORS } from './account-errors.ts'
import { APP_ERRORS, type Translations } from './app-errors.ts'
import { fill, type Language } from './index.ts'

const ORDER = ['de', 'es', 'fr', 'ja', 'zh-Hans'] as const satisfies readonly Exclude<Language, 'en'>[]

/** By sentence, in the order above. `{name}` stands for a part that differs. */
export const ERRORS: Readonly<Record<string, Translations>> = {
  'Something went wrong on our side': [
    'Bei uns ist ein Fehler aufgetreten',
    'Algo ha fallado por nuestra parte',
    'Une erreur s’est produite de notre côté',
    'サーバー側で問題が発生しました',
    '我们这边出了问题',
  ],
  'The error has been logged. Try again, or tell the operator of this server when it happened.': [
    'Der Fehler wurde aufgezeichnet. Versuchen Sie es erneut, oder sagen Sie dem Betreiber dieses Servers, wann es geschah.',
    'El error se ha registrado. Inténtalo de nuevo o di al operador de este servidor cuándo ocurrió.',
    'L’erreur a été consignée. Réessayez, ou dites à l’opérateur de ce serveur quand cela s’est produit.',
    'エラーは記録されました。もう一度試すか、発生した時刻をこのサーバーの管理者に伝えてください。',
    '错误已记录。请重试，或告知本服务器的运营者发生的时间。',
  ],
  'There is no such page': [
    'Diese Seite gibt es nicht',
    'Esta página no existe',
    'Cette page n’existe pas',
    'ページが見つかりません',
    '没有这个页面',
  ],
  'Check the address, or start from the front page.': [
    'Prüfen Sie die Adresse, oder beginnen Sie auf der Startseite.',
    'Comprueba la dirección o empieza en la página principal.',
    'Vérifiez l’adresse, ou partez de la page d’accueil.',
    'アドレスを確認するか、トップページから始めてください。',
    '请检查网址，或从首页开始。',
  ],
  'This request was refused': [
    'Diese Anfrage wurde abgewiesen',
    'Esta solicitud fue rechazada',
    'Cette demande a été refusée',
    'この要求は拒否されました',
    '此请求被拒绝',
  ],
  'That is too large': [
    'Das ist zu groß',
    'Es demasiado grande',
    'C’est trop volumineux',
    'サイズが大きすぎます',
    '内容过大',
  ],
  'Go back, shorten what you entered, and try again.': [
    'Gehen Sie zurück, kürzen Sie Ihre Eingabe, und versuchen Sie es erneut.',
    'Vuelve atrás, acorta lo que has introducido e inténtalo de nuevo.',
    'Revenez en arrière, raccourcissez votre saisie et réessayez.',
    '前の画面に戻り、入力内容を短くして、もう一度試してください。',
    '请返回，缩短输入的内容后重试。',
  ],
  'Please wait': ['Bitte warten Sie', 'Espera un momento', 'Veuillez patienter', 'しばらくお待ちください', '请稍候'],
  'The request is malformed': [
    'Die Anfrage ist fehlerhaft',
    'La solicitud está mal formada',
    'La demande est mal formée',
    '要求の形式が正しくありません',
    '请求格式有误',
  ],
  'Go back and try again.': [
    'Gehen Sie zurück, und versuchen Sie es erneut.',
    'Vuelve atrás e inténtalo de nuevo.',
    'Revenez en arrière et réessayez.',
    '前の画面に戻って、もう一度試してください。',
    '请返回并重试。',
  ],
  'Back in a moment': [
    'Gleich wieder da',
    'Volvemos enseguida',
    'De retour dans un instant',
    'しばらくお待ちください',
    '马上回来',
  ],
  'The server is overloaded. Try again in a few seconds.': [
    'Der Server ist überlastet. Versuchen Sie es in einigen Sekunden erneut.',
    'El servidor está sobrecargado. Inténtalo de nuevo en unos segundos.',
    'Le serveur est surchargé. Réessayez dans quelques secondes.',
    'サーバーが混み合っています。数秒後にもう一度試してください。',
    '服务器过载。请几秒后重试。',
  ],
  'The server cannot reach its database. Try again in a few seconds.': [
    'Der Server erreicht seine Datenbank nicht. Versuchen Sie es in einigen Sekunden erneut.',
    'El servidor no puede acceder a su base de datos. Inténtalo de nuevo en unos segundos.',
    'Le serveur ne peut pas joindre sa base de données. Réessayez dans quelques secondes.',
    'サーバーがデータベースに接続できません。数秒後にもう一度試してください。',
    '服务器无法访问其数据库。请几秒后重试。',
  ],
  'This form has expired': [
    'Dieses Formular ist abgelaufen',
    'Este formulario ha caducado',
    'Ce formulaire a expiré',
    'このフォームは期限切れです',
    '此表单已过期',
  ],
  'Go back, reload that page, and submit the form again, with cookies enabled.': [
    'Gehen Sie zurück, laden Sie die Seite neu, und senden Sie das Formular noch einmal ab; Cookies müssen erlaubt sein.',
    'Vuelve atrás, recarga esa página y envía el formulario de nuevo, con las cookies activadas.',
    'Revenez en arrière, rechargez la page et renvoyez le formulaire, avec les cookies activés.',
    'Cookieを有効にして前の画面に戻り、再読み込みしてから、もう一度送信してください。',
    '请启用 Cookie，返回上一页并重新加载，然后再次提交表单。',
  ],
  'The request body must have at most {count} bytes': [
    'Die Anfrage darf höchstens {count} Bytes lang sein',
    'La solicitud puede tener como máximo {count} bytes',
    'La demande ne peut pas dépasser {count} octets',
    '要求は{count}バイト以内でなければなりません',
    '请求不得超过 {count} 字节',
  ],
  'This address does not support {method}': [
    'Diese Adresse kennt kein {method}',
    'Esta dirección no admite {method}',
    'Cette adresse n’accepte pas {method}',
    'このアドレスは{method}に対応していません',
    '此地址不支持 {method}',
  ],
  'This link no longer works': [
    'Dieser Link gilt nicht mehr',
    'Este enlace ya no funciona',
    'Ce lien ne fonctionne plus',
    'このリンクはもう使えません',
    '此链接已失效',
  ],
  'A sign-in link works once, and only for a few minutes. Ask the operator of this server for a new one.': [
    'Ein Anmelde-Link gilt einmal und nur wenige Minuten. Bitten Sie den Betreiber dieses Servers um einen neuen.',
    'Un enlace de inicio de sesión sirve una vez y solo unos minutos. Pide uno nuevo al operador de este servidor.',
    'Un lien de connexion sert une fois, pendant quelques minutes. Demandez-en un autre à l’opérateur de ce serveur.',
    'サインイン用リンクは1回限りで、数分間だけ有効です。新しいリンクをこのサーバーの管理者に依頼してください。',
    '登录链接只能使用一次，且几分钟内有效。请向本服务器的运营者索取新链接。',
  ],
  'You have no access to this server': [
    'Sie haben keinen Zugriff auf diesen Server',
    'No tienes acceso a este servidor',
    'Vous n’avez pas accès à ce serveur',
    'このサーバーにアクセスできません',
    '您无权访问此服务器',
  ],
  'You are signed in with the provider, but this address is not allowed here. Ask the operator of this server to invite you.':
    [
      'Beim Anbieter sind Sie angemeldet, aber diese Adresse ist hier nicht zugelassen. Bitten Sie den Betreiber dieses Servers um eine Einladung.',
      'Has iniciado sesión con el proveedor, pero esta dirección no está permitida aquí. Pide al operador de este servidor que te invite.',
      'Vous êtes connecté chez le fournisseur, mais cette adresse n’est pas autorisée ici. Demandez une invitation à l’opérateur de ce serveur.',
      'プロバイダーにはサインインしましたが、このアドレスは許可されていません。このサーバーの管理者に招待を依頼してください。',
      '您已在提供方登录，但此处不允许该地址。请让本服务器的运营者邀请您。',
    ],
  'Ask the operator of this server.': [
    'Fragen Sie den Betreiber dieses Servers.',
    'Pregunta al operador de este servidor.',
    'Demandez à l’opérateur de ce serveur.',
    'このサーバーの管理者にお問い合わせください。',
    '请询问本服务器的运营者。',
  ],
  'Your address is not verified': [
    'Ihre Adresse ist nicht bestätigt',
    'Tu dirección no está verificada',
    'Votre adresse n’est pas vérifiée',
    'メールアドレスが確認されていません',
    '您的地址未经验证',
  ],
  'Verify your e-mail address with the sign-in provider, then sign in again.': [
    'Bestätigen Sie Ihre E-Mail-Adresse beim Anbieter, und melden Sie sich dann erneut an.',
    'Verifica tu correo con el proveedor e inicia sesión de nuevo.',
    'Faites vérifier votre adresse chez le fournisseur, puis reconnectez-vous.',
    'プロバイダーでメールアドレスを確認してから、もう一度サインインしてください。',
    '请在登录提供方处验证您的电子邮件地址，然后重新登录。',
  ],
  'There is no such sign-in method': [
    'Diese Art der Anmeldung gibt es nicht',
    'Este método de inicio de sesión no existe',
    'Ce mode de connexion n’existe pas',
    'そのサインイン方法はありません',
    '没有这种登录方式',
  ],
  'Go to the sign-in page and choose another one.': [
    'Wählen Sie auf der Anmeldeseite eine andere.',
    'Elige otro en la página de inicio de sesión.',
    'Choisissez-en un autre sur la page de connexion.',
    'サインインのページで別の方法を選んでください。',
    '请在登录页面选择其他方式。',
  ],
  'You were not signed in': [
    'Sie wurden nicht angemeldet',
    'No has iniciado sesión',
    'Vous n’avez pas été connecté',
    'サインインできませんでした',
    '您没有登录',
  ],
  'The sign-in was cancelled or refused at the provider. You can start again.': [
    'Die Anmeldung wurde beim Anbieter abgebrochen oder abgelehnt. Sie können neu beginnen.',
    'El inicio de sesión se canceló o rechazó en el proveedor. Puedes empezar de nuevo.',
    'La connexion a été annulée ou refusée chez le fournisseur. Vous pouvez recommencer.',
    'プロバイダーでサインインが取り消されたか拒否されました。やり直すことができます。',
    '登录在提供方处被取消或拒绝。您可以重新开始。',
  ],
  'The sign-in failed': [
    'Die Anmeldung ist fehlgeschlagen',
    'El inicio de sesión ha fallado',
    'La connexion a échoué',
    'サインインに失敗しました',
    '登录失败',
  ],
  'Start again. If it fails again, tell the operator of this server when it happened.': [
    'Beginnen Sie neu. Gelingt es wieder nicht, sagen Sie dem Betreiber dieses Servers, wann es geschah.',
    'Empieza de nuevo. Si vuelve a fallar, di al operador de este servidor cuándo ocurrió.',
    'Recommencez. En cas de nouvel échec, dites à l’opérateur de ce serveur quand cela s’est produit.',
    'やり直してください。再び失敗した場合は、発生した時刻をこのサーバーの管理者に伝えてください。',
    '请重新开始。如果再次失败，请告知本服务器的运营者发生的时间。',
  ],
  'This sign-in was started in another browser or too long ago': [
    'Diese Anmeldung wurde in einem anderen Browser oder vor zu langer Zeit begonnen',
    'Este inicio de sesión empezó en otro navegador o hace demasiado tiempo',
    'Cette connexion a été lancée dans un autre navigateur ou il y a trop longtemps',
    'このサインインは別のブラウザーで始められたか、時間が経ちすぎています',
    '此次登录是在其他浏览器中开始的，或时间过久',
  ],
  'Start again from the sign-in page in this browser, with cookies enabled.': [
    'Beginnen Sie in diesem Browser auf der Anmeldeseite neu; Cookies müssen erlaubt sein.',
    'Empieza de nuevo en la página de inicio de sesión de este navegador, con las cookies activadas.',
    'Recommencez depuis la page de connexion dans ce navigateur, avec les cookies activés.',
    'Cookieを有効にして、このブラウザーのサインインのページからやり直してください。',
    '请启用 Cookie，并在此浏览器的登录页面重新开始。',
  ],
  'The sign-in provider cannot be reached': [
    'Der Anmeldedienst ist nicht erreichbar',
    'No se puede acceder al proveedor de inicio de sesión',
    'Le fournisseur de connexion est injoignable',
    'サインインのプロバイダーに接続できません',
    '无法连接登录提供方',
  ],
  'Try again in a minute, or sign in another way.': [
    'Versuchen Sie es in einer Minute erneut, oder melden Sie sich anders an.',
    'Inténtalo de nuevo en un minuto o inicia sesión de otra forma.',
    'Réessayez dans une minute, ou connectez-vous autrement.',
    '1分後にもう一度試すか、別の方法でサインインしてください。',
    '请一分钟后重试，或使用其他方式登录。',
  ],
  'The passkey was not added': [
    'Der Passkey wurde nicht hinzugefügt',
    'La llave de acceso no se añadió',
    'La clé d’accès n’a pas été ajoutée',
    'パスキーは追加されませんでした',
    '未添加通行密钥',
  ],
  'The passkey was not accepted': [
    'Der Passkey wurde nicht angenommen',
    'La llave de acceso no se aceptó',
    'La clé d’accès n’a pas été acceptée',
    'パスキーは受け付けられませんでした',
    '通行密钥未被接受',
  ],
  'Start again. If this passkey belongs to another server or was removed here, sign in another way.': [
    'Beginnen Sie noch einmal. Gehört dieser Passkey zu einem anderen Server oder wurde er hier entfernt, melden Sie sich anders an.',
    'Empieza de nuevo. Si esta llave de acceso es de otro servidor o se eliminó aquí, inicia sesión de otra forma.',
    'Recommencez. Si cette clé d’accès appartient à un autre serveur ou a été supprimée ici, connectez-vous autrement.',
    '最初からやり直してください。このパスキーが別のサーバーのものか、ここで削除されている場合は、別の方法でサインインしてください。',
    '请重新开始。如果此通行密钥属于其他服务器，或已在此处删除，请使用其他方式登录。',
  ],
  ...APP_ERRORS,
  ...ACCOUNT_ERRORS,
}

/** The sentences with a part that differs, as patterns. */
const PATTERNS = Object.entries(ERRORS)
  .filter(([sentence]) => sentence.includes('{'))
  .map(([sentence, translations]) => ({
    pattern: new RegExp(`^${RegExp.escape(sentence).replace(/\\\{(\w+)\\\}/g, '(?<$1>.+)')}$`),
    translations,
  }))

/** A sentence of an error in the reader's language. */
export function translated(language: Language, sentence: string): string {
  if (language === 'en') return sentence
  const place = ORDER.indexOf(language)
  const exact = ERRORS[sentence]?.[place]
  if (exact !== undefined) return exact
  for (const { pattern, translations } of PATTERNS) {
    const found = pattern.exec(sentence)
    if (found) return fill(translations[place]!, found.groups!)
  }
  return sentence
}

/** The same with a full stop, which what programs read does not have. */
export function sentence(language: Language, text: string): string {
  const said = translated(language, text)
  if (said === '' || /[.?!。]$/.test(said)) return said
  return said + (language === 'ja' || language === 'zh-Hans' ? '。' : '.')
}
