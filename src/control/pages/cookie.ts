// The cookie that signs a person in: its value is the control token. Its name holds the instance, since
// cookies know no ports. It must never leave the host, and scripts never see it.

/** The cookie's value; undefined when it is missing or there twice: then somebody else put one there. */
export function readCookie(header: string | undefined, name: string): string | undefined {
  const values = (header ?? '').split(';').map((pair) => pair.trim()).filter((pair) => pair.startsWith(`${name}=`))
  return values.length === 1 ? values[0]?.slice(name.length + 1) : undefined
}

/** `Set-Cookie` for a value of letters, digits, `_` and `-`; an empty one clears it. */
export function cookieField(name: string, value: string, isSecure: boolean): string {
  const life = value === '' ? '; Max-Age=0' : ''
  return `${name}=${value}; Path=/; HttpOnly; SameSite=Strict${isSecure ? '; Secure' : ''}${life}`
}

/** Whether text can stand in a cookie as it is. */
export function fitsCookie(value: string): boolean {
  return /^[\w-]{1,256}$/.test(value)
}
