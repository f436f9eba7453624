package live.marquee.backends;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import org.apache.lucene.analysis.Analyzer;
import org.apache.lucene.analysis.TokenStream;
import org.apache.lucene.analysis.charfilter.HTMLStripCharFilter;
import org.apache.lucene.analysis.core.KeywordTokenizer;
import org.apache.lucene.analysis.core.LetterTokenizer;
import org.apache.lucene.analysis.core.WhitespaceTokenizer;
import org.apache.lucene.analysis.synonym.SynonymMap;
import org.elasticsearch.common.settings.Settings;
import org.elasticsearch.index.IndexSettings;
import org.elasticsearch.index.analysis.AbstractIndexAnalyzerProvider;
import org.elasticsearch.index.analysis.AbstractTokenFilterFactory;
import org.elasticsearch.index.analysis.AnalyzerProvider;
import org.elasticsearch.index.analysis.CharFilterFactory;
import org.elasticsearch.index.analysis.CustomAnalyzer;
import org.elasticsearch.index.analysis.PreBuiltAnalyzerProviderFactory;
import org.elasticsearch.index.analysis.PreConfiguredCharFilter;
import org.elasticsearch.index.analysis.PreConfiguredTokenFilter;
import org.elasticsearch.index.analysis.PreConfiguredTokenizer;
import org.elasticsearch.index.analysis.TokenFilterFactory;
import org.elasticsearch.index.analysis.TokenizerFactory;
import org.elasticsearch.indices.analysis.AnalysisModule.AnalysisProvider;
import org.elasticsearch.indices.analysis.PreBuiltCacheFactory.CachingStrategy;
import org.elasticsearch.plugins.AnalysisPlugin;
import org.elasticsearch.plugins.Plugin;

/**
 * The analysis module that is not published. {@link Parts} says what the parts are; this hands them to the plugin interface of
 * Elasticsearch 7.
 */
public final class Analysis extends Plugin implements AnalysisPlugin {
    @Override
    public Map<String, AnalysisProvider<TokenFilterFactory>> getTokenFilters() {
        Map<String, AnalysisProvider<TokenFilterFactory>> filters = new HashMap<>();
        Parts.FILTERS.forEach((kind, filter) -> filters.put(kind, (index, environment, name, settings) ->
            new AbstractTokenFilterFactory(index, name, settings) {
                @Override
                public TokenStream create(TokenStream in) {
                    return filter.apply(settings, in);
                }

                @Override
                public TokenStream normalize(TokenStream in) {
                    return Parts.NORMALISING.contains(kind) ? create(in) : in;
                }
            }));
        for (boolean graph : new boolean[] { false, true }) {
            filters.put(graph ? "synonym_graph" : "synonym", AnalysisPlugin.requiresAnalysisSettings(
                (index, environment, name, settings) -> new Synonyms(index, name, settings, graph)));
        }
        return filters;
    }

    /** Its rules are analysed by what stands before it in the chain, so that it is made only when that is known. */
    private static final class Synonyms extends AbstractTokenFilterFactory {
        private final Settings settings;
        private final boolean graph;

        Synonyms(IndexSettings index, String name, Settings settings, boolean graph) {
            super(index, name, settings);
            this.settings = settings;
            this.graph = graph;
        }

        @Override
        public TokenStream create(TokenStream in) {
            throw new IllegalStateException("synonyms are made for a chain");
        }

        @Override
        public TokenFilterFactory getChainAwareTokenFilterFactory(
            TokenizerFactory tokenizer,
            List<CharFilterFactory> characters,
            List<TokenFilterFactory> before,
            Function<String, TokenFilterFactory> all
        ) {
            Analyzer analyzer = new CustomAnalyzer(
                tokenizer,
                characters.toArray(CharFilterFactory[]::new),
                before.stream().map(TokenFilterFactory::getSynonymFilter).toArray(TokenFilterFactory[]::new)
            );
            SynonymMap synonyms = Parts.synonyms(settings, analyzer);
            String name = name();
            return new TokenFilterFactory() {
                @Override
                public String name() {
                    return name;
                }

                @Override
                public TokenStream create(TokenStream in) {
                    return Parts.replace(in, synonyms, graph);
                }
            };
        }
    }

    @Override
    public Map<String, AnalysisProvider<TokenizerFactory>> getTokenizers() {
        Map<String, AnalysisProvider<TokenizerFactory>> tokenizers = new HashMap<>();
        Parts.TOKENIZERS.forEach((kind, tokenizer) -> tokenizers.put(kind, (index, environment, name, settings) ->
            TokenizerFactory.newFactory(name, () -> tokenizer.apply(settings))));
        return tokenizers;
    }

    @Override
    public Map<String, AnalysisProvider<AnalyzerProvider<? extends Analyzer>>> getAnalyzers() {
        Map<String, AnalysisProvider<AnalyzerProvider<? extends Analyzer>>> analyzers = new HashMap<>();
        Parts.ANALYZERS.forEach((kind, made) -> analyzers.put(kind, (index, environment, name, settings) -> {
            Analyzer analyzer = made.get();
            return new AbstractIndexAnalyzerProvider<Analyzer>(index, name, settings) {
                @Override
                public Analyzer get() {
                    return analyzer;
                }
            };
        }));
        return analyzers;
    }

    // What an analyser may name without settings of its own.

    @Override
    public List<PreConfiguredTokenFilter> getPreConfiguredTokenFilters() {
        List<PreConfiguredTokenFilter> filters = new ArrayList<>();
        Parts.FILTERS.forEach((kind, filter) -> filters.add(PreConfiguredTokenFilter.singleton(
            kind, Parts.NORMALISING.contains(kind), in -> filter.apply(Settings.EMPTY, in))));
        return filters;
    }

    @Override
    public List<PreConfiguredTokenizer> getPreConfiguredTokenizers() {
        return List.of(
            PreConfiguredTokenizer.singleton("keyword", KeywordTokenizer::new),
            PreConfiguredTokenizer.singleton("letter", LetterTokenizer::new),
            PreConfiguredTokenizer.singleton("whitespace", WhitespaceTokenizer::new)
        );
    }

    @Override
    public List<PreConfiguredCharFilter> getPreConfiguredCharFilters() {
        return List.of(PreConfiguredCharFilter.singleton("html_strip", false, HTMLStripCharFilter::new));
    }

    @Override
    public List<PreBuiltAnalyzerProviderFactory> getPreBuiltAnalyzerProviderFactories() {
        List<PreBuiltAnalyzerProviderFactory> analyzers = new ArrayList<>();
        Parts.ANALYZERS.forEach((kind, made) ->
            analyzers.add(new PreBuiltAnalyzerProviderFactory(kind, CachingStrategy.ONE, made)));
        return analyzers;
    }
}
