// Several requests on one connection, inside TLS that ends at the proxy.
import t from 'tap'
import { checkPipelining } from '../support/pipelining-checks.ts'
import { insideLeg } from '../support/legs.ts'

checkPipelining(t, insideLeg)
