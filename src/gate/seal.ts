// The key that makes Admitted and Vetted. Only gate/ may import this file (test/layers.test.ts):
// code elsewhere can hold the values but never make one, so nothing dials without a decision.
export const seal: unique symbol = Symbol('sallyport.gate')
export type Seal = typeof seal
