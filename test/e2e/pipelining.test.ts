// Several requests on one connection, on the plain leg.
import t from 'tap'
import { checkPipelining } from '../support/pipelining-checks.ts'
import { plainLeg } from '../support/legs.ts'

checkPipelining(t, plainLeg)
