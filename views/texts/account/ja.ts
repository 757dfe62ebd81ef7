import type { AccountTexts } from './en.ts'

export const account: AccountTexts = {
  tabApps: 'アプリ',
  tabTokens: 'アクセストークン',
  tabPasskeys: 'パスキー',
  tabBrowsers: 'ブラウザー',

  apps: '接続中のアプリ',
  appsIntro: 'これらのアプリはあなたの代わりに操作できます。接続を解除すると、すぐにアクセスできなくなります。',
  noApps: 'あなたとして接続しているアプリはありません。',
  howToConnect: 'アプリを接続する方法',
  connectedAt: '接続',
  lastUsed: '最後の使用',
  notYet: 'まだありません',
  fromNetwork: '{time}（{network} から）',
  until: '期限',
  rename: '名前を変更',
  connectionName: '名前（例：ノートパソコン）',
  save: '保存',
  disconnect: '接続を解除',
  disconnectSure: '{app} はすぐにアクセスできなくなります。再び接続するには、あなたの許可が必要です。',
  disconnectAllOf: '{count} 件すべてを解除',
  disconnectAllOfSure: '{app} の接続は、すべての端末ですぐに終了します。再び接続するには、あなたの許可が必要です。',
  appDisconnected: '{app} の接続を解除しました。',
  alreadyEnded: 'この接続はすでに終了していました。',
  renamed: '{app} の接続の名前を「{name}」にしました。',
  nameRemoved: '{app} の接続の名前を削除しました。',

  idle: '許可済み・未接続',
  idleIntro: '以前に許可したアプリです。ここにサインインしている間は、確認なしで再び接続できます。',
  askAgain: '次回は確認する',
  willAskAgain: '{app} は、次に接続する前にあなたに確認します。',

  lostDevice: '端末を紛失しましたか？',
  lostDeviceText: '見覚えのないアプリがある場合も、まとめて終了できます。',
  disconnectAll: 'すべてのアプリの接続を解除',
  disconnectAllSure:
    'すべてのアプリがすぐにアクセスできなくなり、再び接続するにはあなたの許可が必要です。アクセストークンとブラウザーはそのままです。',
  allDisconnected: 'すべてのアプリの接続を解除しました。',
  signOutEverywhere: 'すべての場所からサインアウト',
  signOutEverywhereSure:
    'このブラウザーを含むすべてのブラウザーからサインアウトします。すべてのアプリの接続が解除され、アクセストークンは取り消されます。',
  signedOutEverywhere: 'すべての場所からサインアウトし、すべてのアプリの接続を解除しました。',

  tabData: 'あなたのデータ',
  exportTitle: 'データのコピー',
  exportText:
    'あなたについて保存されているすべての情報を、秘密情報を除いた JSON ファイルで取得できます。接続、アクセストークン、パスキー、ブラウザー、連携アカウント、監査ログの記録が含まれます。',
  download: 'ダウンロード',
  deleteAccount: 'アカウントを削除',
  deleteText:
    'あなたのデータはすべてすぐに削除されます。すべての場所からサインアウトし、アプリの接続は解除され、アクセストークンとパスキーは使えなくなり、他のサーバーのアカウントとの連携も解除されます。元に戻すことはできません。',
  auditStays:
    '残るもの: 監査ログの記録（最長{duration}）。アカウントの番号とネットワークアドレスを含みますが、名前とメールアドレスは含みません。',
  auditStaysForever:
    '残るもの: 監査ログの記録。アカウントの番号とネットワークアドレスを含みますが、名前とメールアドレスは含みません。',
  typeAddress: '確認のため、メールアドレスを入力してください: {email}',
  wrongAddress: 'あなたのメールアドレスと一致しません。何も削除されていません。',
  onlyAdministrator:
    'あなたはこのサーバーの唯一の管理者です。先に別の人を管理者にしてください。何も削除されていません。',
  accountDeleted: 'アカウントと、あなたのすべてのデータを削除しました。',
  signInAgainFirst: 'サインインしてから時間がたっています。この操作の前に{link}。',
  signInAgainLink: 'もう一度サインインしてください',
}
