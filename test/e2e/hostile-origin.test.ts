// Origins that answer with what HTTP does not allow, on the plain leg.
import t from 'tap'
import { checkHostileOrigin } from '../support/hostile-origin-checks.ts'
import { plainLeg } from '../support/legs.ts'

checkHostileOrigin(t, plainLeg)
