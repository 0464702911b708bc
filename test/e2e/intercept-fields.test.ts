// Which header fields cross the proxy, inside TLS that ends at the proxy.
import t from 'tap'
import { checkFields } from '../support/fields-checks.ts'
import { insideLeg } from '../support/legs.ts'

checkFields(t, insideLeg)
