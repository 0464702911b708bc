// The little that is used of the packages that make a document and find its main part, and of the nodes between them:
// their own types speak of a browser, which this program has not.

declare module 'linkedom' {
  export interface PageNode {
    /** 1 element, 3 text (DOM section 4.4) */
    readonly nodeType: number
    readonly nodeName: string
    readonly nodeValue: string | null
    readonly firstChild: PageNode | null
    readonly nextSibling: PageNode | null
    readonly parentNode: PageNode | null
  }

  export interface PageElement extends PageNode {
    readonly textContent: string
    getAttribute(name: string): string | null
  }

  export interface PageDocument {
    readonly documentElement: PageElement | null
    querySelector(selectors: string): PageElement | null
  }

  export function parseHTML(html: string): { readonly document: PageDocument }
}

declare module '@mozilla/readability' {
  import type { PageDocument, PageElement } from 'linkedom'

  export class Readability {
    constructor(document: PageDocument, options: { readonly serializer: (node: PageElement) => PageElement })
    /** changes the document */
    parse(): { readonly title: string | null; readonly content: PageElement | null; readonly textContent: string | null } | null
  }
}
