// WebSockets inside TLS that ends at the proxy.
import t from 'tap'
import { insideLeg } from '../support/legs.ts'
import { checkUpgrades } from '../support/upgrade-checks.ts'

checkUpgrades(t, insideLeg)
