// Which header fields cross the proxy, on the plain leg.
import t from 'tap'
import { checkFields } from '../support/fields-checks.ts'
import { plainLeg } from '../support/legs.ts'

checkFields(t, plainLeg)
