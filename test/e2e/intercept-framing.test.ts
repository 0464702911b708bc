// Message framing as an attack, inside TLS that ends at the proxy.
import t from 'tap'
import { checkFraming } from '../support/framing-checks.ts'
import { insideLeg } from '../support/legs.ts'

checkFraming(t, insideLeg)
