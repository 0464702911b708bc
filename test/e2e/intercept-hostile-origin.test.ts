// Origins that answer with what HTTP does not allow, inside TLS that ends at the proxy.
import t from 'tap'
import { checkHostileOrigin } from '../support/hostile-origin-checks.ts'
import { insideLeg } from '../support/legs.ts'

checkHostileOrigin(t, insideLeg)
