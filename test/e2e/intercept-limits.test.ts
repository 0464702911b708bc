// What one client may cost inside TLS that ends at the proxy.
import t from 'tap'
import { insideLeg } from '../support/legs.ts'
import { checkLimits } from '../support/limits-checks.ts'

checkLimits(t, insideLeg)
