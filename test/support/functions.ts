import ts from 'typescript'

/** One named function of a source text. */
export interface FunctionSize {
  readonly name: string
  /** The line on which it begins, from 1. */
  readonly line: number
  /** Its lines without those of the named functions inside it. */
  readonly ownLines: number
  readonly totalLines: number
  /**
   * 1, and 1 for each `if`, `?:`, loop, `case`, `catch`, `&&`, `||` and `??`, without those of named functions inside.
   */
  readonly branches: number
}

const BRANCHES = new Set([
  ts.SyntaxKind.IfStatement,
  ts.SyntaxKind.ConditionalExpression,
  ts.SyntaxKind.ForStatement,
  ts.SyntaxKind.ForOfStatement,
  ts.SyntaxKind.ForInStatement,
  ts.SyntaxKind.WhileStatement,
  ts.SyntaxKind.DoStatement,
  ts.SyntaxKind.CaseClause,
  ts.SyntaxKind.CatchClause,
  ts.SyntaxKind.AmpersandAmpersandToken,
  ts.SyntaxKind.BarBarToken,
  ts.SyntaxKind.QuestionQuestionToken
])

/** Measures every function with a block body that has a name: its own, or that of what it is assigned to. */
export function functionSizes (fileName: string, source: string): FunctionSize[] {
  const file = ts.createSourceFile(fileName, source, ts.ScriptTarget.Latest, true)
  const sizes: FunctionSize[] = []
  visit(file)
  return sizes

  function visit (node: ts.Node): void {
    const name = functionName(node)
    if (name !== undefined) sizes.push(measure(node, name))
    ts.forEachChild(node, visit)
  }

  function measure (node: ts.Node, name: string): FunctionSize {
    let inner = 0
    let branches = 1
    const look = (child: ts.Node): void => {
      if (functionName(child) !== undefined) {
        inner += lines(child)
        return
      }
      if (BRANCHES.has(child.kind)) branches++
      ts.forEachChild(child, look)
    }
    ts.forEachChild(node, look)
    const totalLines = lines(node)
    return { name, line: lineOf(node.getStart(file)), ownLines: totalLines - inner, totalLines, branches }
  }

  function lines (node: ts.Node): number {
    return lineOf(node.end) - lineOf(node.getStart(file)) + 1
  }

  function lineOf (position: number): number {
    return file.getLineAndCharacterOfPosition(position).line + 1
  }
}

/** `undefined` for what is no function, has no block body, or has no name. */
function functionName (node: ts.Node): string | undefined {
  if (!ts.isFunctionLike(node) || !('body' in node) || node.body === undefined || !ts.isBlock(node.body)) { return undefined }
  if (node.name !== undefined) return node.name.getText()
  const { parent } = node
  return ts.isVariableDeclaration(parent) || ts.isPropertyAssignment(parent) ? parent.name.getText() : undefined
}
