import { parser } from '@prometheus-io/lezer-promql';

type SyntaxNode = ReturnType<typeof parser.parse>['topNode'];

export interface Selector {
  metric: string;
  matchers: { label: string; operator: string; value: string }[];
  /** `max`, `sum` and so on: the innermost aggregation around it; null without one. */
  aggregation: string | null;
}

/** What an expression asks for. Throws when it is not PromQL. */
export function readExpression(expression: string): { selectors: Selector[]; groupedBy: string[] } {
  const text = (node: SyntaxNode) => expression.slice(node.from, node.to);
  const nodes = listNodes(parser.parse(expression).topNode);
  const broken = nodes.find(({ type }) => type.isError);
  if (broken) throw new Error(`not PromQL at ${broken.from}: ${expression}`);
  return {
    selectors: nodes.filter(({ name }) => name === 'VectorSelector').map((node) => readSelector(node, text)),
    groupedBy: nodes.filter(({ name, parent }) => name === 'LabelName' && parent?.name === 'GroupingLabels').map(text),
  };
}

function readSelector(node: SyntaxNode, text: (node: SyntaxNode) => string): Selector {
  const within = listNodes(node);
  const matchers = within.filter(({ name }) => name === 'UnquotedLabelMatcher');
  return {
    metric: text(within.find(({ name }) => name === 'Identifier')!),
    matchers: matchers.map((matcher) => {
      const [label = '', operator = '', value = '""'] = childrenOf(matcher).map(text);
      return { label, operator, value: JSON.parse(value) as string };
    }),
    aggregation: aggregationAround(node, text),
  };
}

function aggregationAround(node: SyntaxNode, text: (node: SyntaxNode) => string): string | null {
  for (let around = node.parent; around; around = around.parent) {
    if (around.name === 'AggregateExpr') return text(childrenOf(around)[0]!);
  }
  return null;
}

function listNodes(node: SyntaxNode): SyntaxNode[] {
  return [node, ...childrenOf(node).flatMap(listNodes)];
}

function childrenOf(node: SyntaxNode): SyntaxNode[] {
  const children: SyntaxNode[] = [];
  for (let child = node.firstChild; child; child = child.nextSibling) children.push(child);
  return children;
}
