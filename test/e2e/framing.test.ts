// Message framing as an attack, on the plain leg.
import t from 'tap'
import { checkFraming } from '../support/framing-checks.ts'
import { plainLeg } from '../support/legs.ts'

checkFraming(t, plainLeg)
