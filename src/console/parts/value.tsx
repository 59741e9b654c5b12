import { visibleText } from '../visible-text.ts'

/** A text of an event. It keeps its own direction, and its invisible characters are shown. */
export function Value ({ children, title }: { children: string, title?: string }) {
  return <bdi dir='auto' title={title}>{visibleText(children)}</bdi>
}
