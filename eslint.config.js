import neostandard from 'neostandard'

export default [
  ...neostandard({ ts: true, ignores: ['dist', 'node_modules', 'openapi', '.tap', 'coverage'] }),
  {
    // A schema and its type share one name: `const Query = Type.Object(…); type Query = Static<typeof Query>`.
    rules: { 'no-redeclare': 'off' }
  },
  {
    // The page: an effect reads a signal to depend on it, and a handler need not wait for what it starts.
    files: ['src/console/**'],
    rules: { 'no-void': ['error', { allowAsStatement: true }], 'react/jsx-handler-names': 'off' }
  },
  {
    files: ['**/*.ts', '**/*.tsx'],
    rules: {
      '@typescript-eslint/no-redeclare': 'off',
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/no-non-null-assertion': 'error'
    }
  },
  {
    // Tests look into JSON answers of every shape.
    files: ['test/**/*.ts'],
    rules: { '@typescript-eslint/no-explicit-any': 'off' }
  }
]
