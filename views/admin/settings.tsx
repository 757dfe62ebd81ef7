/** @jsxRuntime classic @jsx Html.createElement @jsxFrag Html.Fragment */
import { Html } from '@elysiajs/html'
import { type AdminFrame, AdminPage } from './frame.tsx'

export interface SettingsProps {
  frame: AdminFrame
  settings: readonly { name: string; value: string; source: string }[]
}

export function settingsPage({ frame, settings }: SettingsProps) {
  return (
    <AdminPage frame={frame}>
      <p>
        The settings that this server started with, and where each came from. To change one, change it there and
        restart.
      </p>
      <ul class="list card">
        {settings.map(({ name, value, source }) => (
          <li class="row">
            <code safe>{name}</code>
            <div class="value">
              <span safe>{value}</span>
              <small safe>{source}</small>
            </div>
          </li>
        ))}
      </ul>
    </AdminPage>
  )
}
